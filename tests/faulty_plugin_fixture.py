"""A plugin that misbehaves in every way a rewarder can, installed as an outside package: metadata and a module."""

import sys
from pathlib import Path

import pytest

PLUGIN = """
import ctypes, os, sys, time
loads = []

def score(response, answer):
    if response == "hang":
        while True:
            time.sleep(0.01)
    if response == "segfault":
        ctypes.string_at(0)
    if response == "leak":
        return bytearray(10 * 2**30)[0]
    if response == "creep":
        heap = []
        while True:
            heap.append(bytearray(2**24))
    if response == "raise":
        raise RuntimeError("no")
    if response == "sys.exit":
        sys.exit(0)
    if response.startswith("exit"):
        os._exit(int(response[4:] or 0))
    if response.startswith("late exit "):
        with open(response[10:], "a") as note:
            note.write("begun ")
        time.sleep(2.5)
        with open(response[10:], "a") as note:
            note.write("ended ")
        os._exit(1)
    if response.startswith("until "):
        while not os.path.exists(response[6:]):
            time.sleep(0.01)
        return True
    if response == "nan":
        return float("nan")
    if response == "text":
        return "1.0"
    if response == "flood":
        print("x" * 10_000_000)
        sys.stderr.write("x" * 10_000_000)
        from innovator_rl.scoring import right
        return right(extracted="x" * 50_000_000)
    if response == "unavailable":
        from innovator_rl.scoring import Score
        return Score(0.0, False, "sandbox_failure", outcome="error")
    if response == "none":
        return None
    if response.startswith("sleep"):
        time.sleep(float(response[5:]))
        return True
    return response == answer

async def later(response, answer):
    import asyncio
    await asyncio.sleep(0.01)
    return response == answer

def flaky(response, answer):
    tries = open(response).read().split() if os.path.exists(response) else []
    with open(response, "a") as note:
        note.write(f"{os.getpid()} ")
    if not tries:
        os._exit(1)
    return True

def distinct(responses):
    return [responses.count(text) == 1 for text in responses]

class Configured:
    def __init__(self, code_isolation="standard", timeout_seconds=0.0):
        self.values = (code_isolation, timeout_seconds)
    def __call__(self, info, data_source, prompt):
        from innovator_rl.scoring import right
        return right(extracted=repr([self.values, info, data_source, prompt]))

def greedy(response, gold):
    return 1.0
"""
ENTRY_POINTS = """[innovator_rl.rewards]
faulty = faulty_plugin:score
later = faulty_plugin:later
flaky = faulty_plugin:flaky
distinct = faulty_plugin:distinct
configured = faulty_plugin:Configured
greedy = faulty_plugin:greedy
absent = faulty_plugin:absent
slow_import = slow_plugin:score
broken_import = broken_plugin:score
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the plugin on `sys.path` for one test."""
    (tmp_path / "faulty_plugin.py").write_text(PLUGIN)
    (tmp_path / "slow_plugin.py").write_text("import time\ntime.sleep(1.5)\ndef score(response):\n    return True\n")
    (tmp_path / "broken_plugin.py").write_text("raise ImportError('a library is missing')\n")
    info = tmp_path / "faulty_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("faulty_plugin", "slow_plugin", "broken_plugin"):
        sys.modules.pop(name, None)
