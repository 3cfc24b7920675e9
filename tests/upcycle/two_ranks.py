"""Run by test_distributed.py: two ranks take a step on which rank 1 has no finite loss, then save the model.

two_ranks.py FOLDER    writes FOLDER/rank-RANK.json and FOLDER/saved
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from forked_ranks import exit_code, fork_ranks
from mesh_ranks import trainer_of, weights, whole

from upcycle.training.consolidate import save_folder

RANKS = 2


def rank_main(rank: int, folder: Path) -> None:
    """Take the step and save the weights, which it must not have moved."""
    store = dist.FileStore(str(folder / "store"), RANKS)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=RANKS)
    trainer = trainer_of("shard-4", rank, RANKS, folder)
    loss = trainer.objective.loss

    def broken(*arguments: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        value, parts = loss(*arguments)
        return value * (float("nan") if rank == 1 else 1.0), parts

    trainer.objective.loss = broken  # type: ignore[method-assign]
    skipped, wanted = trainer.update()["train/skipped_updates"], weights()
    state = {name: whole(value.detach()) for name, value in trainer.model.named_parameters()}
    moved = [name for name, value in state.items() if not torch.equal(value, wanted[name])]
    (folder / f"rank-{rank}.json").write_text(json.dumps({"skipped": skipped, "moved": moved}))
    save_folder(trainer.model, list(wanted), folder / "saved", trainer.distributed, lambda _aside: None, [])
    dist.destroy_process_group()


def main(folder: Path) -> None:
    """Fork the ranks and wait for them."""
    sys.exit(exit_code(fork_ranks(RANKS, rank_main, folder)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
