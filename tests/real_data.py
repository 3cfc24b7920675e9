"""The published data sets that some tests read: the folder `INNOVATOR_DATA`, by default `shared/data` next to the checkout.

It holds captions/, chebi20/, gsm8k/, scibench/, verify/. Where a part is missing, its tests are skipped by name.
"""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("INNOVATOR_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def real(path: str) -> Path:
    """A file or folder of the data; skips the test where it is missing."""
    if not (DATA / path).exists():
        pytest.skip(f"real data {path} is not here (INNOVATOR_DATA names the folder that holds it)")
    return DATA / path


def needs(path: str) -> pytest.MarkDecorator:
    """Marks a test that reads `path` of the data."""
    return pytest.mark.skipif(not (DATA / path).exists(), reason=f"real data {path} is not here (see INNOVATOR_DATA)")
