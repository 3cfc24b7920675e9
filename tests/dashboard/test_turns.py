"""Split responses into turns, as recorded or as the chat template wrote them, and long text into parts."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl.dashboard.queries.response import parts_of
from innovator_rl.dashboard.queries.turns import MOST_CHARS, turns_of

CHATML = 'Let me look.\n<tool_call>\n{"name": "search", "arguments": {"q": "force"}}\n</tool_call><|im_end|>\n'
TOOL = "<|im_start|>tool\n<tool_response>\nnewton\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
LLAMA = (
    "Look.<|eot_id|><|start_header_id|>ipython<|end_header_id|>\n\n42<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nIt is 42.<|eot_id|>"
)


def roles(turns: list[dict[str, object]]) -> list[tuple[object, object]]:
    return [(turn["role"], turn["trained"]) for turn in turns]


def test_recorded_turns_keep_what_the_writer_knew() -> None:
    recorded = [
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "run", "arguments": "1+1"}}]},
        {"role": "tool", "name": "run", "content": "2", "tokens": 3, "seconds": 0.5},
        {"role": "assistant", "content": [{"type": "text", "text": "It is 2."}], "trained": False},
    ]
    found = turns_of(json.dumps(recorded), "ignored")
    assert roles(found) == [("call", True), ("tool", False), ("assistant", False)]
    assert found[0]["name"] == "run"
    assert (found[1]["tokens"], found[1]["seconds"]) == (3, 0.5)
    assert found[2]["content"] == "It is 2."


def test_turns_are_recognized_by_the_chat_template() -> None:
    found = turns_of(None, CHATML + TOOL + "It is the newton.<|im_end|>")
    assert roles(found) == [("assistant", True), ("call", True), ("tool", False), ("assistant", True)]
    assert found[1]["name"] == "search"
    assert found[2]["content"] == "newton"
    assert found[3]["content"] == "It is the newton."
    assert roles(turns_of(None, LLAMA)) == [("assistant", True), ("ipython", False), ("assistant", True)]


@pytest.mark.parametrize("text", ["The answer is 4.<|im_end|>", "", "a <tool_call", "<|im_start|>"])
def test_one_turn_is_no_conversation(text: str) -> None:
    assert turns_of(None, text) == []


PLAIN = st.none() | st.booleans() | st.integers() | st.text()
ANY = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@settings(max_examples=50)
@given(ANY)
def test_any_recorded_value_gives_turns_or_none(value: object) -> None:
    for turn in turns_of(json.dumps([{"role": "tool", "content": value, "tool_calls": value}]), ""):
        assert len(turn["content"]) <= MOST_CHARS


def test_a_flood_of_headers_is_bounded() -> None:
    assert len(turns_of(None, "<|im_start|>tool\nx" * 50_000)) == 200


@given(st.text(alphabet="ab \n", max_size=400), st.integers(5, 60))
def test_parts_cover_a_text_and_none_is_too_long(text: str, limit: int) -> None:
    starts = parts_of(text, limit)
    ends = [*starts[1:], len(text)]
    assert starts[0] == 0
    assert all(0 <= end - start <= limit for start, end in zip(starts, ends, strict=True))
    assert all(end > start for start, end in zip(starts[:-1], ends[:-1], strict=True))


def test_a_part_ends_where_a_paragraph_does() -> None:
    text = "x" * 80 + "\n\n" + "y" * 80
    assert parts_of(text, 100) == [0, 81]
