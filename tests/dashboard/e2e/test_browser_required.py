"""A missing browser skips its tests with the command that installs it, or fails them where the browser is required."""

from pathlib import Path

import pytest
from e2e_browser import find_chromium

OUTCOMES = {"0": pytest.skip.Exception, "1": pytest.fail.Exception}


@pytest.mark.parametrize("required", OUTCOMES)
def test_a_missing_browser_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, required: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("INNOVATOR_REQUIRE_BROWSER", required)
    with pytest.raises(OUTCOMES[required], match="apt-get install --no-install-recommends chromium"):
        find_chromium()
