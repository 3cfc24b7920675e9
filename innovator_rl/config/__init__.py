"""The run's configuration: what may be asked (`schema`), how it is read (`load`), what verl gets (`verl`), and what is
wrong before anything starts (`preflight`).

    from innovator_rl.config import load

    config = load("configs/train/demo.yaml", ["schedule.steps=5"])
"""

from innovator_rl.config.load import load
from innovator_rl.config.schema import RunConfig

__all__ = ["RunConfig", "load"]
