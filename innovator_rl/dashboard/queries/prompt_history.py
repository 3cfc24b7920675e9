"""Follow one prompt over time: all its groups and samples across steps, kinds and runs.

A prompt has the same `prompt_id` in every step, run and attempt, so that a training run, its validations and an
evaluation of its checkpoints can be read side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from innovator_rl.dashboard.queries.rollouts import GROUP_COLUMNS
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.errors import RequestError

MOST_RUNS = 6
MOST_GROUPS = 400
MOST_SAMPLES = 4_000

Row = dict[str, Any]


def prompt_history(sessions: Sequence[RunSession], prompt_id: str) -> Row:
    """Return the groups and samples of a prompt in each run, by step, and the text of the prompt.

    Raises:
        RequestError: The prompt is in none of the runs (404), or there are too many runs.
    """
    if not 1 <= len(sessions) <= MOST_RUNS:
        raise RequestError(f"run: expected 1 to {MOST_RUNS} runs, got {len(sessions)}")
    found = [_groups(session, prompt_id) for session in sessions]
    runs = [{"run": session.run.name, "groups": groups} for session, groups in zip(sessions, found, strict=True)]
    for session, groups in zip(sessions, found, strict=True):
        if groups:
            return {"prompt_id": prompt_id, **_text(session, groups[0]), "runs": runs}
    raise RequestError(f"prompt_id={prompt_id[:80]!r}: not found in these runs", 404)


def _groups(session: RunSession, prompt_id: str) -> list[Row]:
    groups = session.index.query(
        f"SELECT {', '.join(GROUP_COLUMNS)}, attempt FROM groups WHERE prompt_id = ? ORDER BY step, kind, rid LIMIT {MOST_GROUPS}",
        [prompt_id],
    )
    samples = session.index.query(
        f"""SELECT kind, step, prompt_uid AS uid, sample_index, reward, correct, reason, response_tokens, truncated, extracted
            FROM responses WHERE prompt_id = ? ORDER BY step, kind, prompt_uid, sample_index LIMIT {MOST_SAMPLES}""",
        [prompt_id],
    )
    by_group: dict[tuple[Any, ...], list[Row]] = {}
    for row in samples:
        by_group.setdefault((row.pop("kind"), row.pop("step"), row.pop("uid")), []).append(row)
    return [{**group, "responses": by_group.get((group["kind"], group["step"], group["uid"]), [])} for group in groups]


def _text(session: RunSession, group: Row) -> Row:
    place = session.index.query(
        "SELECT segment, position FROM responses WHERE kind = ? AND step = ? AND prompt_uid = ? LIMIT 1",
        [group["kind"], group["step"], group["uid"]],
    )
    texts = session.reader.rows([(row["segment"], row["position"]) for row in place], ("prompt", "answer"))
    found = next(iter(texts.values()), {})
    return {"prompt": found.get("prompt"), "answer": found.get("answer"), "domain": group["domain"]}
