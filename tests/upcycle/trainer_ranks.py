"""Run by the trainer's tests, alone or under torchrun: some steps of a stage from its last checkpoint, then a checkpoint.

trainer_ranks.py CONFIG STAGE STEPS OUT [key=value ...]    writes OUT/losses.json and OUT/weights.pt (what trains, whole)
"""

import json
import sys
from pathlib import Path

import torch

from upcycle.config.schema import load
from upcycle.stages import dense_baseline, induction, integration, routing
from upcycle.stages.common import prepare
from upcycle.training.checkpointing import save

TRAINERS = {
    "train_router": routing.build_trainer,
    "train_joint": integration.build_trainer,
    "train_dense": dense_baseline.build_trainer,
}


def main(config: str, stage: str, steps: str, out: str, *settings: str) -> None:
    context = prepare(load(config, settings))
    trainer = (
        induction.build_trainer(context, stage.partition(":")[2])
        if stage.startswith("train_experts:")
        else TRAINERS[stage](context)
    )
    trainer.begin()
    first, losses = trainer.step, []
    for _ in range(int(steps)):
        losses.append(trainer.update())
        trainer.step += 1
        save(trainer.run.checkpoints, trainer.step, trainer.model, trainer.optimizer, context.distributed, keep=2)
    trained = {name: value for name, value in trainer.model.named_parameters() if value.requires_grad}
    whole = {name: (v.full_tensor() if hasattr(v, "full_tensor") else v).detach() for name, v in trained.items()}
    local = sum((v.to_local() if hasattr(v, "to_local") else v).numel() for v in trainer.model.parameters())
    Path(out).mkdir(parents=True, exist_ok=True)
    (Path(out) / f"local-{context.distributed.rank}.json").write_text(json.dumps(local))
    if context.distributed.is_main:
        torch.save(whole, Path(out) / "weights.pt")
        (Path(out) / "losses.json").write_text(json.dumps({"first": first, "figures": losses}))
    context.distributed.barrier()


if __name__ == "__main__":
    main(*sys.argv[1:])
