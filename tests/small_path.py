"""A path of few stages for the tests of `innovator_rl.paper`."""

from innovator_rl.paper.config import PaperConfig


def small_path(**changes) -> PaperConfig:
    """Return the configuration of a path, with changes."""
    document = {
        "name": "t",
        "base_model": "tiny-qwen2",
        "tasks": ["product"],
        "upcycle": {"config": "configs/upcycle/tiny.yaml"},
        "learning": {
            "config": "configs/train/moe.yaml",
            "disk_gb": 2,
            "settings": ["schedule.steps=5"],
            "arms": [{"name": "a", "model": "mixture", "seeds": [0, 3], "settings": ["schedule.steps=7"]}],
        },
        "evaluations": [{"suite": "smoke", "models": ["base", "dense", "a"], "limit": 4, "dtype": "bfloat16"}],
    }
    return PaperConfig.model_validate({**document, **changes})
