"""One rank that saves its part of a model as verl's checkpoint manager does.

python checkpoint_ranks.py MODEL FOLDER RANK RANKS STORE
"""

import shutil
import sys
from pathlib import Path

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from transformers import AutoModelForCausalLM


def main(model: str, folder: str, rank: int, ranks: int, store: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=ranks)
    mesh = init_device_mesh("cpu", (ranks,), mesh_dim_names=("fsdp",))
    state = {}
    for name, value in AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).state_dict().items():
        state[name] = distribute_tensor(value, mesh, [Shard(0) if value.shape[0] >= ranks else Replicate()])
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    torch.save(state, target / f"model_world_size_{ranks}_rank_{rank}.pt")
    torch.distributed.barrier()
    if rank == 0:
        shutil.copytree(model, target / "huggingface", ignore=shutil.ignore_patterns("*.safetensors"))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
