"""`datasets/` is data: a Python file in it would shadow Hugging Face `datasets` as soon as the checkout is importable."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_no_python_file_under_datasets() -> None:
    assert sorted((ROOT / "datasets").rglob("*.py")) == []


def test_import_datasets_at_the_root_is_hugging_faces() -> None:
    code = "import sys; sys.path.insert(0, '.'); import datasets; print(datasets.__file__); datasets.load_dataset"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "site-packages" in done.stdout


def test_each_dataset_has_its_three_files() -> None:
    folders = sorted(path for path in (ROOT / "datasets").iterdir() if path.is_dir())
    assert len(folders) >= 10
    for folder in folders:
        assert {"dataset.yaml", "README.md", "sample.jsonl"} <= {file.name for file in folder.iterdir()}, folder.name
