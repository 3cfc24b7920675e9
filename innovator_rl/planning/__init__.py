"""Plan a training run: memory of each GPU, time and bytes, before a GPU is rented.

    found = plan(load("configs/train/innovator-53b.yaml"), Hardware.named("h100-80", gpus=64), shape)
    found.problems, found.proposal

`shape.py` reads a model's config.json, `memory.py` counts bytes, `timing.py` seconds, `plan.py` puts them together and
proposes what fits. Nothing is loaded and nothing is started. Every assumption that is not arithmetic is a field with a
source, and is printed with the plan.
"""

from innovator_rl.planning.hardware import Hardware
from innovator_rl.planning.plan import Plan, plan
from innovator_rl.planning.shape import Shape

__all__ = ["Hardware", "Plan", "Shape", "plan"]
