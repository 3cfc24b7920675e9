"""What a job uploads: code and configurations, never weights, data or runs; the measure agrees with Ray's own zip."""

import shutil
import zipfile
from pathlib import Path

import pytest
from ray._private.runtime_env import packaging

from innovator_rl.errors import UserError
from innovator_rl.jobs.package import EXCLUDES, measure

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory laid out like this project's, with everything that must stay at home."""
    root = tmp_path / "checkout"
    kept = (
        "innovator_rl/data/rows.py",
        "innovator_rl/models/tiny.py",
        "configs/data/physics.yaml",
        "datasets/x/sample.jsonl",
    )
    left = (
        "models/big/model.safetensors",
        "data/gsm8k/train.parquet",
        "runs/demo/rollouts/step=000001/a.parquet",
        ".git/objects/pack",
        ".venv/lib/thing.py",
        "elsewhere/weights.gguf",
        "elsewhere/global_step_5/actor/optim.bin",
        "innovator_rl/__pycache__/x.pyc",
        ".pytest_cache/v",
    )
    for name in (*kept, *left):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)
    return root


KEPT = {
    "innovator_rl/data/rows.py",
    "innovator_rl/models/tiny.py",
    "configs/data/physics.yaml",
    "datasets/x/sample.jsonl",
}


def zipped(root: Path, target: Path, excludes: list[str]) -> set[str]:
    packaging.create_package(str(root), target, include_gitignore=True, excludes=excludes)
    with zipfile.ZipFile(target) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_submit_uploads_code_only_even_without_ignore_files(checkout: Path, tmp_path: Path) -> None:
    package = measure(checkout)
    assert set(package.files) == KEPT
    assert package.size == 400
    assert zipped(checkout, tmp_path / "p.zip", list(EXCLUDES)) == KEPT
    assert package.includes(checkout / "innovator_rl/data")
    assert not package.includes(checkout / "data")
    assert not package.includes(tmp_path / "other")


def test_plain_ray_job_submit_uploads_the_same(checkout: Path, tmp_path: Path) -> None:
    for name in (".gitignore", ".rayignore"):
        shutil.copy(ROOT / name, checkout / name)
    from ray._private.ray_constants import get_runtime_env_default_excludes

    typed_by_hand = zipped(checkout, tmp_path / "p.zip", get_runtime_env_default_excludes())
    assert typed_by_hand == KEPT | {".gitignore", ".rayignore"}


def test_the_ignore_file_and_the_excludes_are_one_list() -> None:
    lines = [line for line in (ROOT / ".rayignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines == list(EXCLUDES)


def test_this_checkout_uploads_a_few_megabytes_of_code() -> None:
    package = measure(ROOT)
    package.require_size()
    assert "innovator_rl/runs/run_dir.py" in package.files
    assert not [
        name
        for name in package.files
        if name.endswith((".safetensors", ".gguf")) or name.startswith(("runs/", "data/", ".venv/"))
    ]
    assert package.size < 20e6


def test_an_upload_that_is_too_large_names_its_files(checkout: Path) -> None:
    (checkout / "docs").mkdir()
    (checkout / "docs/film.mp4").write_bytes(b"x" * 5000)
    with pytest.raises(UserError, match=r"(?s)in 5 files.*docs/film\.mp4.*\.rayignore"):
        measure(checkout).require_size(limit=1000)
