"""Run by the engine's tests, alone or under torchrun: some steps of a stage from its last checkpoint, then a checkpoint.

engine_ranks.py CONFIG STAGE STEPS OUT [key=value ...]    writes OUT/losses.json and OUT/weights.pt (what trains, whole)
"""

import json
import sys
from pathlib import Path

import torch

from upcycle.config.schema import load
from upcycle.stages import dense_baseline, induction, integration, routing
from upcycle.stages.common import prepare
from upcycle.training.checkpointing import save

ENGINES = {"route": routing.engine, "integrate": integration.engine, "dense": dense_baseline.engine}


def main(config: str, stage: str, steps: str, out: str, *settings: str) -> None:
    setup = prepare(load(config, settings))
    engine = induction.engine(setup, stage[7:]) if stage.startswith("induct:") else ENGINES[stage](setup)
    engine.begin()
    first, losses = engine.step, []
    for _ in range(int(steps)):
        losses.append(engine.update())
        engine.step += 1
        save(engine.run.checkpoints, engine.step, engine.model, engine.optimizer, setup.world, keep=2)
    trained = {name: value for name, value in engine.model.named_parameters() if value.requires_grad}
    whole = {name: (v.full_tensor() if hasattr(v, "full_tensor") else v).detach() for name, v in trained.items()}
    local = sum((v.to_local() if hasattr(v, "to_local") else v).numel() for v in engine.model.parameters())
    Path(out).mkdir(parents=True, exist_ok=True)
    (Path(out) / f"local-{setup.world.rank}.json").write_text(json.dumps(local))
    if setup.world.first:
        torch.save(whole, Path(out) / "weights.pt")
        (Path(out) / "losses.json").write_text(json.dumps({"first": first, "figures": losses}))
    setup.world.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
