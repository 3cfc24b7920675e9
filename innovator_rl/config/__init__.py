"""Define and load the configuration of a run.

`schema` declares every setting, `load` reads a YAML file and overrides, and `resolve` decides what `auto` stands for.

    from innovator_rl.config import load

    config = load("configs/train/demo.yaml", ["schedule.steps=5"])
"""

from innovator_rl.config.load import load
from innovator_rl.config.schema import RunConfig

__all__ = ["RunConfig", "load"]
