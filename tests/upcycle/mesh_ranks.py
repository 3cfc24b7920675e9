"""Run by test_meshes.py: the same steps of a tiny mixture on one rank and on four, under several meshes.

mesh_ranks.py FOLDER    writes FOLDER/MESH.pt for each mesh: losses, norms, gradients and weights

One process imports torch and forks the four ranks, so the libraries are read once.
"""

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from base_models import SHAPE, mixture_of
from forked_ranks import exit_code, fork_ranks

from innovator_rl.runs.run_dir import RunDir
from upcycle.checkpoint.torch_io import StateDictSource, load_weights
from upcycle.config.stages import TrainerConfig, TrainJointConfig
from upcycle.data.packing import Batch
from upcycle.model.layout import Layout
from upcycle.model.modeling import InnovatorForCausalLM
from upcycle.model.sharding import shard
from upcycle.training.checkpointing import save
from upcycle.training.distributed import DistributedContext
from upcycle.training.objectives import LossWeights, MixtureObjective
from upcycle.training.trainer import Trainer, slices_of

RANKS, SEQUENCES, LENGTH, STEPS = 4, 8, 16, 2
DISCIPLINES = ("physics", "biology", "chemistry")
SPEC = mixture_of(
    {"model_type": "qwen2", **SHAPE}, disciplines=DISCIPLINES, split=2, top_k=2, null_experts=1
)  # 6 experts: 4 ranks do not divide them
MESHES = {  # trainer.replicas, trainer.expert_parallel, trainer.expert_capacity
    "alone": (1, 1, 0.0),
    "shard-4": (1, 1, 0.0),
    "replicate-2-shard-2": (2, 1, 0.0),
    "shard-2-expert-2": (1, 2, 0.0),
    "shard-2-expert-2-capacity": (1, 2, 2.0),  # of two ranks: nothing can exceed it
    "replicate-2-expert-2": (2, 2, 0.0),
}


def trainer_of(mesh: str, rank: int, ranks: int, folder: Path) -> Trainer:
    """A trainer of the tiny mixture, from the same weights on every mesh."""
    replicas, parallel, capacity = MESHES[mesh]
    config = TrainerConfig(
        dtype="float32",
        replicas=replicas,
        expert_parallel=parallel,
        expert_capacity=capacity,
        checkpointing=mesh != "alone",
    )
    stage = TrainJointConfig(tokens=1024, batch_tokens=SEQUENCES * LENGTH, learning_rate=1e-3, warmup=0.0)
    context = DistributedContext(rank, ranks, torch.device("cpu"))
    with torch.device("meta"):
        model = InnovatorForCausalLM(SPEC)
    shard(model.float(), config, Layout.of(config, ranks, SPEC.experts), "cpu")
    model.to_empty(device="cpu")
    load_weights(model, StateDictSource(weights()))
    model.set_checkpointing(config.checkpointing)
    objective = MixtureObjective(LossWeights(1.0, 0.1, 0.1, 0.01), DISCIPLINES, SPEC.split, "null")

    def batches(step: int) -> list[Batch]:
        picks = [("", step * SEQUENCES + n) for n in range(SEQUENCES)]
        return slices_of(text, picks, context, micro=0 if mesh == "alone" else 4)

    run = RunDir(folder / f"run-{mesh}")
    trainer = Trainer(model, stage, config, objective, batches, steps=8, flops=1.0, distributed=context, run=run)
    trainer._phase = lambda _name: None  # type: ignore[method-assign]
    return trainer


def weights() -> dict[str, torch.Tensor]:
    """The same random weights in every process."""
    with torch.device("meta"):
        state = InnovatorForCausalLM(SPEC).state_dict()
    generator = torch.Generator().manual_seed(1)
    made = {name: 0.2 * torch.randn(value.shape, generator=generator) for name, value in state.items()}
    return {name: torch.ones(1) if name.endswith("routed_scale") else value for name, value in made.items()}


def text(picks: list[tuple[str, int]]) -> Batch:
    """Random tokens that depend on the number of the sequence alone; the skew leaves some experts of a slice idle."""
    numbers = torch.tensor([number for _, number in picks])
    ids = torch.stack([torch.randint(96, (LENGTH,), generator=torch.Generator().manual_seed(int(n))) for n in numbers])
    return Batch(ids, ids, torch.arange(LENGTH).expand_as(ids).contiguous(), numbers % 4 - 1)


def steps(trainer: Trainer) -> dict[str, Any]:
    """Take some steps; the figures, the last gradients and the weights, whole."""
    figures, kept = [], {}
    clear = trainer.optimizer.zero_grad
    trainer.optimizer.zero_grad = lambda set_to_none=True: None  # type: ignore[method-assign, assignment]
    for _ in range(STEPS):
        clear()
        figures.append(trainer.update())
        trainer.step += 1
    for name, parameter in trainer.model.named_parameters():
        assert parameter.grad is not None
        kept[name] = (whole(parameter.grad), whole(parameter.detach()))
    return {"figures": figures, "tensors": kept}


def whole(tensor: Any) -> torch.Tensor:
    """The whole of a sharded tensor."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor.clone()


def rank_main(rank: int, folder: Path) -> None:
    """Take the steps on every mesh; then save on one mesh and go on from there on another."""
    store = dist.FileStore(str(folder / "store"), RANKS)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=RANKS)
    for mesh in list(MESHES)[1:]:
        trainer = trainer_of(mesh, rank, RANKS, folder)
        result = steps(trainer)
        if rank == 0:
            torch.save(result, folder / f"{mesh}.pt")
    save(folder / "run-shard-4/checkpoints", STEPS, trainer.model, trainer.optimizer, trainer.distributed, keep=1)
    again = trainer_of("shard-4", rank, RANKS, folder)
    resumed, on = again.update(), trainer.update()
    if rank == 0:
        torch.save({"step": again.step, "resumed": resumed, "on": on}, folder / "resumed.pt")
    dist.destroy_process_group()


def main(folder: Path) -> None:
    """Fork the ranks, run alone meanwhile, and wait for them."""
    children = fork_ranks(RANKS, rank_main, folder)
    torch.save(steps(trainer_of("alone", 0, 1, folder)), folder / "alone.pt")
    sys.exit(exit_code(children))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
