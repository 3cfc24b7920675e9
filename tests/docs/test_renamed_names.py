"""The glossary lists every old name that is still accepted."""

from innovator_rl.cli.upcycle import RENAMED_COMMANDS
from innovator_rl.dashboard.web import aliases
from innovator_rl.runs import metric_names
from tools.check_docs_commands import ROOT
from upcycle.config.aliases import RENAMED_KEYS

TABLE = (ROOT / "docs/glossary.md").read_text(encoding="utf-8").partition("## Renamed")[2].partition("## ")[0]


def test_commands_and_keys() -> None:
    for old, (new, _) in RENAMED_COMMANDS.items():
        assert f"`innovator upcycle {old}" in TABLE
        assert f"`innovator upcycle {new}" in TABLE
    for name in {*RENAMED_KEYS, *RENAMED_KEYS.values()}:
        assert f"`{name}`" in TABLE


def test_metrics() -> None:
    for name in {*metric_names.RENAMED, *metric_names.RENAMED.values()}:
        assert f"`{name}`" in TABLE
    for ending in {*metric_names.RENAMED_ENDINGS, *metric_names.RENAMED_ENDINGS.values()}:
        assert f"`domain/NAME{ending}`" in TABLE


def test_parameters_of_the_dashboard() -> None:
    for pairs in aliases.RENAMED.items():
        for name, value in pairs:
            words = f"{name}={value.removeprefix('-')}" if value else name
            assert f"`{words}" in TABLE or f"| drop reason | `{value}`" in TABLE or f"| `{value}` |" in TABLE
