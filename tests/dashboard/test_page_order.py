"""A page of a long list is found by counting and has the rows that sorting the list would give."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl.dashboard.queries import page_order
from innovator_rl.dashboard.queries.filters import SORTS, Filters, parts_read
from innovator_rl.rollouts.index import RolloutIndex
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow, UpdateRow

ROWS = 240
REWARDS = [0.0, 1.0, 1.0, -1.0, None, 1e-30, 3e30, 0.25]  # ties, gaps, and sizes for which equal bins are useless


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    run = tmp_path_factory.mktemp("order") / "r"
    recorder = Recorder(run, writer="w", attempt=1)
    for i in range(ROWS):
        recorder.rollout(
            RolloutRow(
                step=1 + i // 100,
                prompt_uid=f"g{i // 4}",
                sample=i % 4,
                domain=[None, "", "math", "physics"][i % 4],
                reason=["right", "wrong"][i % 2],
                correct=[True, False, None][i % 3],
                reward=REWARDS[i * 7 % len(REWARDS)],
                score_value=-(i % 3) / 4,  # the greatest is zero
                response_tokens=i * i * 37 % 101,
            )
        )
        recorder.update(
            UpdateRow(step=1 + i // 100, prompt_uid=f"g{i // 4}", sample=i % 4, kept=True, advantage=1 / (i + 1))
        )
    recorder.close()
    index = RolloutIndex(run)
    index.refresh()
    kept: dict[Any, Any] = {}

    def cached(key: Any, of: tuple[str, ...], make: Any) -> Any:
        return kept[key] if key in kept else kept.setdefault(key, make())

    yield SimpleNamespace(index=index, cached=cached)
    index.close()


def sorted_rids(session: Any, filters: Filters, column: str, descending: bool) -> list[int]:
    order = f"{column} {'DESC' if descending else 'ASC'} NULLS LAST, rid"
    sql = f"SELECT rid FROM {filters.table} WHERE {filters.where} ORDER BY {order}"
    return [row["rid"] for row in session.index.query(sql, filters.values)]


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(SORTS), st.booleans(), st.integers(0, ROWS + 9), st.integers(1, 60), st.sampled_from([2, 5]),
    st.booleans(),
)  # fmt: skip
def test_pages_found_by_counting_are_those_of_the_sorted_list(
    session: Any, column: str, descending: bool, offset: int, size: int, bins: int, narrow: bool
) -> None:
    filters = Filters()
    if narrow:
        filters.add("reward >= ?::FLOAT", 0.0)
    whole = sorted_rids(session, filters, column, descending)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "LONG": 0,
            "SHALLOW": 0,
            "MOST_SORTED": 3 * bins,
            "RID_BITS": bins // 2,
            "BINS": bins,
        }.items():
            patch.setattr(page_order, name, value)
        fresh = SimpleNamespace(index=session.index, cached=lambda key, of, make: make())
        found = page_order.page_rids(fresh, filters, column, descending, len(whole), offset, size)  # type: ignore[arg-type]
    assert found == whole[offset : offset + size]


def test_a_deep_page_sorts_only_its_bins(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LONG": 0, "SHALLOW": 0, "MOST_SORTED": 16, "RID_BITS": 3}.items():
        monkeypatch.setattr(page_order, name, value)
    asked: list[str] = []
    query = session.index.query

    def listened(sql: str, values: Any = ()) -> Any:
        asked.append(sql)
        return query(sql, values)

    monkeypatch.setattr(session.index, "query", listened)
    pages = [page_order.page_rids(session, Filters(), "reward", True, ROWS, offset, 8) for offset in (200, 200)]
    assert pages[0] == pages[1] == sorted_rids(session, Filters(), "reward", True)[200:208]
    offsets = [int(sql.rsplit(" ", 1)[1]) for sql in asked if "OFFSET" in sql]
    assert max(offsets) < 16
    counting = [sql for sql in asked if "GROUP BY" in sql]
    assert len(counting) == len(set(counting)), "counted twice"


def test_text_read_in_the_background_recounts_only_what_it_changes() -> None:
    plain, measured = Filters(), Filters()
    measured.add("entropy >= ?::FLOAT", 0.5)
    assert parts_read(plain, "reward") == ("rollouts",)
    assert parts_read(plain, "repetition") == parts_read(measured, "reward") == ("rollouts", "words")
    assert parts_read(Filters(word="a", label="b")) == ("rollouts", "words", "labels")


def test_values_that_are_not_finite_are_sorted_as_before(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_order, "LONG", 0)
    monkeypatch.setattr(page_order, "SHALLOW", 0)
    index = session.index
    odd = [row["rid"] for row in index.query("SELECT rid FROM responses ORDER BY rid LIMIT 3")]
    cursor = index.cursor()
    for rid, value in zip(odd, ("nan", "inf", "-inf"), strict=True):
        cursor.execute("UPDATE stored_responses SET gap = ?::FLOAT WHERE rid = ?", [value, rid])
    fresh = SimpleNamespace(index=index, cached=lambda key, of, make: make())
    found = page_order.page_rids(fresh, Filters(), "gap", True, ROWS, 0, 5)  # type: ignore[arg-type]
    assert found == sorted_rids(session, Filters(), "gap", True)[:5]


def test_rows_that_are_gone_since_they_were_counted_are_no_error(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_order, "LONG", 0)
    monkeypatch.setattr(page_order, "SHALLOW", 0)
    nothing = Filters()
    nothing.add("step = 99")
    for column in ("reward", "domain"):
        fresh = SimpleNamespace(index=session.index, cached=lambda key, of, make: make())
        assert page_order.page_rids(fresh, nothing, column, False, ROWS, 100, 5) == []  # type: ignore[arg-type]
