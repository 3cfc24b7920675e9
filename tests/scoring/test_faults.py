"""The promises of the engine at a size that a test can afford; `benchmarks/scoring.py` is the full size."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "scoring.py"


@pytest.mark.slow
def test_healthy_samples_survive_a_tenth_of_faults_and_memory_stays_flat() -> None:
    arguments = ["--scores", "200", "--steady", "4000", "--timeout", "1"]
    done = subprocess.run([sys.executable, str(BENCHMARK), *arguments], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "healthy samples scored right  180 of 180" in done.stdout
    assert "every promise kept" in done.stdout
