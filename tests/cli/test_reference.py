"""The command reference is what the commands are."""

from pathlib import Path

from tools.cli_reference import page


def test_the_page_is_current() -> None:
    written = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    assert written == page(), "run: python -m tools.cli_reference > docs/cli.md"
