r"""Split a response into the turns of its conversation: the model's, tools' and an environment's.

A response of several turns is one sequence of tokens for the trainer. Only the model's own turns are trained on; what a
tool returned is masked. A writer can record the turns (`RolloutRow.turns`). Where it did not, they are recognized by the
role headers of ChatML, Llama and Gemma chat templates in the text, and by `<tool_call>` and `<tool_response>` tags.

    turns_of(None, "Let me look.<|im_end|>\n<|im_start|>tool\\n42<|im_end|>")   # an assistant's turn and a tool's
"""

from __future__ import annotations

import json
import re
from typing import Any

from innovator_rl.runs.reading import as_number, as_text, as_whole

Row = dict[str, Any]

MOST_TURNS = 200
MOST_CHARS = 20_000  # of one turn; a longer one is cut
TRAINED_ROLES = ("assistant", "model")
HEADER = re.compile(
    r"(?:<\|im_start\|>|<start_of_turn>)[ \t]*(?P<role>\w{1,40})[^\n]{0,200}\n?"
    r"|<\|start_header_id\|>[ \t]*(?P<llama>\w{1,40})[ \t]*<\|end_header_id\|>\n{0,2}"
)
END = re.compile(r"\s*(?:<\|im_end\|>|<end_of_turn>|<\|eot_id\|>|<\|eom_id\|>|<\|endoftext\|>)\s*$")
TAG = re.compile(r"<(tool_call|tool_response)>(.*?)(?:</\1>|\Z)", re.DOTALL)
TAGGED = {"tool_call": "call", "tool_response": "tool"}


def turns_of(recorded: str | None, response: str) -> list[Row]:
    """Return the turns of a response; none where it is a single turn of plain text.

    Args:
        recorded: The column `turns`, JSON.
        response: The text of the response.

    Returns:
        Turns with `role` (`call` is a tool call inside the model's own turn), `name`, `content`, `trained`, `tokens`,
        `seconds` and `cut`, the number of characters that were left out.
    """
    turns = _recorded(recorded) if recorded else []
    if not turns:
        turns = _recognized(response)
    return [_cut(turn) for turn in turns[:MOST_TURNS]]


def _recorded(text: str) -> list[Row]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    turns: list[Row] = []
    for item in found if isinstance(found, list) else []:
        if not isinstance(item, dict):
            continue
        role = as_text(item.get("role")) or "unknown"
        trained = item.get("trained")
        turn = {
            "role": role,
            "name": as_text(item.get("name")),
            "content": _text(item.get("content")),
            "trained": trained if isinstance(trained, bool) else role in TRAINED_ROLES,
            "tokens": as_whole(item.get("tokens")),
            "seconds": as_number(item.get("seconds")),
        }
        calls = item.get("tool_calls")
        if turn["content"] or not calls:
            turns.append(turn)
        for call in calls if isinstance(calls, list) else []:
            function = call.get("function", call) if isinstance(call, dict) else call
            named = isinstance(function, dict)
            asked = function.get("arguments") if named else function
            name = as_text(function.get("name")) if named else None
            turns.append({**turn, "role": "call", "name": name, "content": _text(asked), "tokens": None})
    return turns


def _recognized(response: str) -> list[Row]:
    parts: list[tuple[str, str]] = []
    role, start = "assistant", 0
    for header in HEADER.finditer(response):
        parts.append((role, response[start : header.start()]))
        role, start = header["role"] or header["llama"], header.end()
        if len(parts) > MOST_TURNS:
            break
    parts.append((role, response[start:]))
    turns = []
    for speaker, text in parts:
        turns += _tagged("assistant" if speaker == "model" else speaker, END.sub("", text))
    return turns if len(turns) > 1 else []


def _tagged(role: str, text: str) -> list[Row]:
    turns, start = [], 0
    for tag in TAG.finditer(text):
        turns.append(_plain(role, text[start : tag.start()]))
        turns.append(_plain(TAGGED[tag[1]], tag[2]))
        start = tag.end()
        if len(turns) > MOST_TURNS:
            break
    return [turn for turn in [*turns, _plain(role, text[start:])] if turn["content"]]


def _plain(role: str, text: str) -> Row:
    name = None
    if role == "call":
        try:
            asked = json.loads(text)
            name = as_text(asked.get("name"))
        except (ValueError, RecursionError, AttributeError):
            name = None
    trained = role in (*TRAINED_ROLES, "call")
    return {"role": role, "name": name, "content": text.strip(), "trained": trained, "tokens": None, "seconds": None}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in value):
        return "\n".join(part["text"] for part in value)
    return json.dumps(value, ensure_ascii=False, indent=1)


def _cut(turn: Row) -> Row:
    content = turn["content"]
    return {**turn, "content": content[:MOST_CHARS], "cut": max(0, len(content) - MOST_CHARS)}
