"""The code of docs/python-api.md runs as it stands."""

import re
from pathlib import Path

import pytest

from innovator_rl.dashboard.demo.write import write_demo

PAGE = (Path(__file__).parents[2] / "docs" / "python-api.md").read_text()
BLOCKS = re.findall(r"^(<!-- needs: [^>]*-->\n\n)?```python\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_has_examples() -> None:
    assert sum(not needs for needs, _ in BLOCKS) == 3


@pytest.mark.parametrize("code", [code for needs, code in BLOCKS if not needs])
def test_a_block_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "open_run" in code:
        write_demo(tmp_path / "runs")
        first = sorted((tmp_path / "runs").glob("*/run.json"))[0].parent
        first.rename(tmp_path / "runs" / "demo")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INNOVATOR_RUNS_DIR", raising=False)
    exec(compile(code, "docs/python-api.md", "exec"), {})
