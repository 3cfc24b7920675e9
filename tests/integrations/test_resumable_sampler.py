"""Every prompt once an epoch, mixtures by weight, and a resume that continues the very sequence."""

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innovator_rl.integrations.verl.curriculum import Curriculum
from innovator_rl.integrations.verl.resumable_sampler import ResumableSampler, allot

SOURCES = ["a"] * 6 + ["b"] * 3 + ["c"] * 1


def stream(rows: int = 10, **options: object) -> ResumableSampler:
    defaults: dict = {"seed": 3, "shuffle": True}
    return ResumableSampler(list(range(rows)), lambda batch: {"row": batch[0]}, **{**defaults, **options})


def rows_of(prompts: ResumableSampler, count: int) -> list[int]:
    return [batch["row"] for batch in islice(prompts, count)]


@given(st.integers(1, 30), st.integers(0, 100), st.integers(0, 1000))
def test_every_epoch_holds_every_row_once_and_a_resume_at_any_place_changes_nothing(
    rows: int, stop: int, seed: int
) -> None:
    whole = stream(rows, seed=seed)
    sequence = rows_of(whole, 4 * rows)
    for epoch in range(4):
        assert sorted(sequence[epoch * rows : (epoch + 1) * rows]) == list(range(rows))
    stop %= 4 * rows
    first, second = stream(rows, seed=seed), stream(rows, seed=seed)
    head = rows_of(first, stop)
    second.load_state_dict(first.state_dict())
    assert head + rows_of(second, 4 * rows - stop) == sequence


def test_epochs_differ_and_an_unshuffled_stream_keeps_the_order() -> None:
    shuffled = rows_of(stream(), 20)
    assert shuffled[:10] != shuffled[10:]
    assert rows_of(stream(shuffle=False), 15) == [*range(10), *range(5)]


def test_names_of_groups_never_repeat_in_a_run() -> None:
    names = [batch["uid"][0] for batch in islice(stream(3), 30)]
    assert len(set(names)) == 30
    assert not any("_" in name for name in names)  # verl splits its keys there


def test_a_mixture_gives_each_source_its_share_and_walks_through_all_of_its_rows() -> None:
    mixed = stream(sources=SOURCES, mixture={"a": 1.0, "b": 3.0})
    sequence = rows_of(mixed, 40)  # four epochs of ten places
    seen = Counter(SOURCES[row] for row in sequence)
    assert seen == {"a": 12, "b": 28}
    assert set(Counter(row for row in sequence if SOURCES[row] == "a").values()) == {2}  # 12 places, 6 rows
    resumed = stream(sources=SOURCES, mixture={"a": 1.0, "b": 3.0})
    resumed.load_state_dict({**mixed.state_dict(), "position": 17})
    assert rows_of(resumed, 23) == sequence[17:]


@given(st.integers(5, 200), st.dictionaries(st.text(max_size=3), st.floats(0.01, 100), min_size=1, max_size=5))
def test_shares_follow_the_weights(slots: int, weights: dict[str, float]) -> None:
    shares = allot(slots, weights)
    assert min(shares.values()) >= 1
    assert sum(shares.values()) >= slots
    for name, share in shares.items():
        assert share <= max(1, slots * weights[name] / sum(weights.values()) + 1)


def test_a_changed_data_set_is_refused_at_resume() -> None:
    state = stream(10).state_dict()
    with pytest.raises(ValueError, match="made with rows=10, this run has rows=11"):
        stream(11).load_state_dict(state)


def test_a_mixture_without_rows_names_the_sources() -> None:
    with pytest.raises(
        ValueError, match=r"data.mixture names 'd', of which data.train has no row; it has \['a', 'b', 'c'\]"
    ):
        stream(sources=SOURCES, mixture={"d": 1.0})


def test_no_rows_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="0 rows after filtering"):
        stream(0)


def test_useless_prompts_come_back_after_1_3_7_and_15_visits() -> None:
    known = Curriculum()
    for pause in (1, 3, 7, 15, 15):
        known.observe(4, "all_wrong")
        assert [known.skips(4) for _ in range(pause + 1)] == [True] * pause + [False]
    known.observe(4, "")
    assert not known.skips(4)
    known.observe(4, "failed")  # says nothing about the prompt
    assert not known.skips(4)


def test_a_curriculum_trains_on_what_teaches_and_resumes_exactly() -> None:
    def drawn(prompts: ResumableSampler, count: int) -> list[int]:
        found = []
        for batch in islice(prompts, count):
            found.append(batch["row"])
            reason = {0: "all_correct", 1: "all_wrong"}.get(batch["row"] % 3, "")
            prompts.observe(batch["uid"][0], reason)
        return found

    whole = drawn(stream(9, curriculum=True), 60)
    useful = [row for row in whole if row % 3 == 2]
    assert len(useful) > 0.6 * len(whole)  # of a third of the rows
    assert Counter(useful).most_common()[0][1] - Counter(useful).most_common()[-1][1] <= 1
    first, second = stream(9, curriculum=True), stream(9, curriculum=True)
    head = drawn(first, 25)
    second.load_state_dict(first.state_dict())
    assert head + drawn(second, 35) == whole


def test_where_everything_rests_prompts_still_come() -> None:
    prompts = stream(3, curriculum=True)
    for batch in islice(prompts, 30):
        prompts.observe(batch["uid"][0], "all_correct")
    assert prompts.position < 30 * 4
