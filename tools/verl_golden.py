"""Write the expected verl configurations: `python -m tools.verl_golden`.

There is one of a default run on each platform.

tests/integrations/golden/verl-cpu.yaml and verl-cuda.yaml are what a run with default settings becomes: a dense model
on a CPU, a mixture of experts on GPUs. A test compares them with what is composed today. A changed line there is a
changed default of every run, or of a new verl; read the difference before committing it.
"""

from pathlib import Path

from omegaconf import OmegaConf

from innovator_rl.config.load import load
from innovator_rl.config.resolve import Platform, RuntimeContext
from innovator_rl.integrations.verl.compose import to_verl

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "integrations" / "golden"
PLATFORMS: tuple[Platform, ...] = ("cpu", "cuda")
RAY_CPUS = 48  # the default depends on the cores of the machine


def path(platform: Platform) -> Path:
    """Return the file of a platform."""
    return FOLDER / f"verl-{platform}.yaml"


def text(platform: Platform) -> str:
    """Compose the configuration of a default run as machine-independent YAML."""
    context = RuntimeContext(
        model_path="models/base",
        is_moe=platform == "cuda",
        train_files=("data/train.parquet",),
        validation_files=("data/validation.parquet",),
        checkpoint_dir="runs/run/checkpoints",
        platform=platform,
        threads=2,
        run_dir="runs/run",
    )
    return OmegaConf.to_yaml(to_verl(load(None, [f"resources.ray_cpus={RAY_CPUS}"]), context))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in PLATFORMS:
        path(name).write_text(text(name), encoding="utf-8")
