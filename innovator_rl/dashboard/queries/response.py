"""Return one group or one response in full, with score and neighbors."""

from __future__ import annotations

import json
import urllib.parse
from typing import Any

from innovator_rl.dashboard.molecules.renderer import molecule_texts
from innovator_rl.dashboard.queries.code_report import code_report
from innovator_rl.dashboard.queries.rollouts import GROUP_COLUMNS, ROW_COLUMNS, shown
from innovator_rl.dashboard.queries.turns import turns_of
from innovator_rl.dashboard.runs.labels import Labels
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.scoring import ENGINE_REASONS

TEXTS = ("prompt", "messages", "answer", "info", "error", "terms", "response", "turns")
LOOK_BACK = 4_000  # characters in which the end of a part is moved back to the end of a paragraph
INFO_CHARS = 200_000
DAMAGED = "the file with this text is damaged; the run page lists it"

Row = dict[str, Any]


def group_answer(session: RunSession, labels: Labels, kind: str, step: int, uid: str, chars: int) -> Row:
    """Return all responses to one prompt in one step, the best reward first."""
    rows = _rows(session, kind, step, uid)
    if not rows:
        raise RequestError(f"group not found: {uid[:80]!r} in step {step} ({kind})", 404)
    rows.sort(key=lambda row: -(row["reward"] if row["reward"] is not None else float("-inf")))
    texts = session.reader.rows([(row["segment"], row["position"]) for row in rows], TEXTS)
    responses = []
    for row, plain in zip(rows, shown(session, labels, rows), strict=True):
        text = texts.get((row["segment"], row["position"]), {})
        response = text.get("response") or ""
        responses.append(
            {
                **plain,
                "terms": text.get("terms") or [],
                "error": text.get("error"),
                "response": response[:chars],
                "response_chars": len(response),
                "text_error": None if text else DAMAGED,
            }
        )
    first = next(iter(texts.values()), {})
    group = session.index.query(
        f"SELECT {', '.join(GROUP_COLUMNS)}, rid FROM all_groups WHERE kind = ? AND step = ? AND prompt_uid = ?",
        [kind, step, uid],
    )[0]
    rid = group.pop("rid")
    neighbors = session.index.query(
        """SELECT max(CASE WHEN rid < ? THEN rid END) AS before, min(CASE WHEN rid > ? THEN rid END) AS after
           FROM groups WHERE kind = ? AND step = ?""",
        [rid, rid, kind, step],
    )[0]
    return {
        "group": group,
        **_prompt(first),
        "responses": responses,
        "previous": _group_at(session, neighbors["before"]),
        "next": _group_at(session, neighbors["after"]),
        "other_steps": _other_steps(session, group),
    }


def response_answer(
    session: RunSession, labels: Labels, kind: str, step: int, uid: str, sample_index: int, offset: int, limit: int
) -> Row:
    """Return everything recorded about one response.

    Args:
        session: the opened run.
        labels: the run's labels.
        kind: `train` or `validation`.
        step: the training step.
        uid: the group's prompt_uid.
        sample_index: the index within the group.
        offset: first character of the response text to return.
        limit: number of characters to return, and the largest size of a part.

    Raises:
        RequestError: with status 404 where there is no such response.
    """
    siblings = _rows(session, kind, step, uid)
    row = next((row for row in siblings if row["sample_index"] == sample_index), None)
    if row is None:
        raise RequestError(f"response not found: {sample_index} of {uid[:80]!r} in step {step} ({kind})", 404)
    place = (row["segment"], row["position"])
    text = session.reader.rows([place], TEXTS).get(place)
    found = text or {}
    response = found.get("response") or ""
    prompt = _prompt(found)
    plain = shown(session, labels, [row])[0]
    around = (
        [s for s in siblings if s["sample_index"] < sample_index],
        [s for s in siblings if s["sample_index"] > sample_index],
    )
    return {
        "row": plain,
        **prompt,
        "error": found.get("error"),
        "response": response[offset : offset + limit],
        "offset": offset,
        "response_chars": len(response),
        "parts": parts_of(response, limit),
        "turns": turns_of(found.get("turns"), response),
        "score": _score(plain, found),
        "molecules": _molecules(plain, found),
        "code": code_report(plain, response, prompt["info"], found.get("terms") or []),
        "tokens": _has_tokens(session, row),
        "labels": labels.of((kind, step, uid, sample_index)),
        "siblings": [
            {"sample_index": s["sample_index"], "reward": s["reward"], "correct": s["correct"]} for s in siblings
        ],
        "previous": _response_at(around[0][-1]) if around[0] else None,
        "next": _response_at(around[1][0]) if around[1] else None,
        "text_error": None if text else DAMAGED,
    }


def parts_of(text: str, limit: int) -> list[int]:
    """Return where each part of at most `limit` characters begins, at the end of a paragraph or line where there is one."""
    starts = [0]
    while limit and len(text) - starts[-1] > limit:
        start, end = starts[-1], starts[-1] + limit
        low = max(start + limit // 2, end - LOOK_BACK)
        found = max(text.rfind("\n\n", low, end), 0) or text.rfind("\n", low, end)
        starts.append(found + 1 if found > 0 else end)
    return starts


def _rows(session: RunSession, kind: str, step: int, uid: str) -> list[Row]:
    return session.index.query(
        f"SELECT {', '.join(ROW_COLUMNS)} FROM all_responses WHERE kind = ? AND step = ? AND prompt_uid = ? ORDER BY sample_index",
        [kind, step, uid],
    )


def _prompt(text: Row) -> Row:
    return {
        "prompt": text.get("prompt"),
        "messages": _json(text.get("messages")),
        "answer": text.get("answer"),
        "info": _json(text.get("info")),
    }


def _json(text: str | None) -> Any:
    """Parse stored JSON; return the text itself, cut, where it is not JSON."""
    if not text:
        return None
    if len(text) > INFO_CHARS:
        return text[:INFO_CHARS]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _score(row: Row, text: Row) -> Row:
    return {
        "value": row["score_value"],
        "overlong_penalty": row["overlong_penalty"],
        "reward": row["reward"],
        "correct": row["correct"],
        "outcome": row["outcome"],
        "reason": row["reason"],
        "reason_meaning": ENGINE_REASONS.get(row["reason"] or ""),
        "rewarder": row["rewarder"],
        "extracted": row["extracted"],
        "gold": text.get("answer"),
        "seconds": row["reward_seconds"],
        "terms": text.get("terms") or [],
    }


def _molecules(row: Row, text: Row) -> Row | None:
    found = molecule_texts(row, text.get("prompt"), text.get("answer"))
    if found is None:
        return None
    role, predicted, gold = found
    query = urllib.parse.urlencode({"predicted": predicted or "", "gold": gold or ""})
    return {
        "role": role,
        "predicted": predicted,
        "gold": gold,
        "svg": f"/api/molecules.svg?{query}",
        "figures": f"/api/molecules?{query}",
    }


def _has_tokens(session: RunSession, row: Row) -> bool:
    segments = session.index.catalog.segments
    return any(
        segment.attempt == row["attempt"]
        for dataset in ("tokens", "updates")
        for segment in segments(dataset, [row["step"]], row["kind"])
    )


def _response_at(row: Row) -> Row:
    return {"step": row["step"], "uid": row["uid"], "sample_index": row["sample_index"]}


def _group_at(session: RunSession, rid: int | None) -> Row | None:
    if rid is None:
        return None
    return session.index.query("SELECT step, prompt_uid AS uid FROM all_groups WHERE rid = ?", [rid])[0]


def _other_steps(session: RunSession, group: Row) -> list[Row]:
    if not group["prompt_id"]:
        return []
    return session.index.query(
        """SELECT step, prompt_uid AS uid, correct, samples, reward_mean, status FROM groups
           WHERE kind = ? AND prompt_id = ? AND NOT (step = ? AND prompt_uid = ?) ORDER BY step LIMIT 200""",
        [group["kind"], group["prompt_id"], group["step"], group["uid"]],
    )
