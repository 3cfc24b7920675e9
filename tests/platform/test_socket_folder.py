"""A TMPDIR that is too long for sockets is replaced before anything opens one."""

import os
import tempfile
from pathlib import Path

import pytest

from innovator_rl.platform import socket_folder as module


@pytest.fixture(autouse=True)
def own_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", tempfile.gettempdir())
    monkeypatch.setenv("TMPDIR", tempfile.gettempdir())


def test_a_long_folder_is_replaced_for_this_process_and_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setenv("TMPDIR", str(long))
    assert module.use_socket_folder() == {"TMPDIR": "/tmp"}
    assert (tempfile.gettempdir(), os.environ["TMPDIR"]) == ("/tmp", "/tmp")
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    assert module.socket_folder(alternatives=[str(long)]) is None


def test_a_short_folder_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    assert module.use_socket_folder() == {}
