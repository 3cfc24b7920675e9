"""Every diagnostic names a section of the troubleshooting page, and the page is what the code says."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from innovator_rl.config.schema_introspection import settings  # noqa: E402
from innovator_rl.preflight.diagnostic import Diagnostic, anchor  # noqa: E402
from tools import troubleshooting  # noqa: E402

PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
SECTIONS = set(re.findall(r"^## ([\w-]+)$", PAGE, re.MULTILINE))


def test_the_page_is_up_to_date() -> None:
    assert troubleshooting.page() == PAGE


def test_every_diagnostic_of_the_code_has_a_section() -> None:
    found = [anchor(setting) for setting, _, _ in troubleshooting.diagnostics()]
    calls = sum(
        path.read_text().count("Diagnostic(\n") + path.read_text().count("Diagnostic(s")
        for path in troubleshooting.PLACES
    )
    assert len(found) >= calls > 60
    assert set(found) <= SECTIONS


def test_sections_are_settings_of_a_run_or_parts_of_a_machine() -> None:
    known = {anchor(setting.key) for setting in settings()}
    others = {
        "environment",
        "machine",
        "package",
        "rewarder",
        "verl",
        "working-directory",
        "resumed-run",
        "data-mixture",
    }
    supervised = {"optimizer-batch_rows", "optimizer-micro_batch_tokens"}
    assert known | others | supervised | {"reward-routes", "logging-wandb"} >= SECTIONS


@pytest.mark.parametrize(
    ("setting", "section"),
    [
        ("reward.routes.essays", "reward-routes"),
        ("data.mixture.a b", "data-mixture"),
        ("package verl", "package"),
        ("verl.actor_rollout_ref.actor.strategy", "verl"),
        ("rollout.top_p", "rollout-top_p"),
    ],
)
def test_a_message_names_its_section(setting: str, section: str) -> None:
    diagnostic = Diagnostic(setting=setting, value=1, why="x", fix="y")
    assert diagnostic.line().endswith(f"[docs/troubleshooting.md#{section}]")
    assert diagnostic.as_dict()["help"] == f"docs/troubleshooting.md#{section}"
    assert section in SECTIONS


def test_a_reason_stands_next_to_its_own_fix() -> None:
    """Where a function gives several diagnostics, or one of several reasons, each row is one way through it."""
    assert (
        "| the checkpoint brings its own Python code (auto_map in config.json) | read that code, then set true |"
        in PAGE
    )
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]
    assert [row for row in rows if any(cell.isupper() and not set(" `") & set(cell) for cell in row)] == []
