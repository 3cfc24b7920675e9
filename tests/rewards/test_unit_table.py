"""The table of units is what pint's registry gives, and every name in it reads as a unit."""

from pathlib import Path

import pytest

from rewards.equivalence import unit_table
from rewards.equivalence.units import parse_unit


def test_the_table_is_what_the_script_writes() -> None:
    pytest.importorskip("pint")
    from tools.unit_table import page

    assert Path(unit_table.__file__).read_text() == page()


def test_every_name_reads_as_a_unit() -> None:
    for name, symbol in unit_table.NAMES.items():
        assert parse_unit(name) == parse_unit(symbol) is not None, name


def test_a_slash_has_two_readings() -> None:
    loose, tight = parse_unit("J/mol K"), parse_unit("J/mol K", tight=True)
    assert loose is not None
    assert tight is not None
    assert loose.dimension[4] == 1
    assert tight.dimension[4] == -1
