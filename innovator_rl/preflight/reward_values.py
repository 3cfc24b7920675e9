"""Look at what a rewarder returns before a run starts.

A rewarder that returns fractions works in every test of its author's, and then no group of a run has a response that is
correct: dynamic sampling by `correct` drops them all. A few responses that state the reference of a real row show it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.diagnostic import Diagnostic
from innovator_rl.scoring import Score, ScoreRequest, ScoringPool

STATED = ("{0}", "\\boxed{{{0}}}", "The answer is {0}.", "Answer: {0}", "<answer>{0}</answer>", "I do not know.")


def never_correct(
    context: PreflightContext, pool: ScoringPool, name: str, source: str, group: bool
) -> Iterator[Diagnostic]:
    """Warn of a rewarder whose values are fractions where only correct responses count.

    A float below 1 is recorded as `wrong`; an author who returns a `Score` has decided what is correct.
    """
    sampling = context.config.algorithm.dynamic_sampling
    if not sampling.enabled or sampling.metric != "correct":
        return
    request = _request(context, name, source)
    if group:
        whole = ScoreRequest(**{**vars(request), "responses": tuple(form.format(request.answer) for form in STATED)})
        scores: list[Score] = pool.submit_group(whole).result()
    else:
        stated = [ScoreRequest(**{**vars(request), "response": form.format(request.answer)}) for form in STATED]
        scores = list(pool.map(stated))
    values = [score.value for score in scores if score.scored and score.reason == "wrong" and score.value > 0]
    if values and not any(score.correct for score in scores):
        yield Diagnostic(
            setting=f"reward.routes.{source}",
            value=name,
            why=f"it gave values up to {max(values):g} and called none correct (a number is correct from 1 upwards), "
            "and algorithm.dynamic_sampling.metric=correct drops every group without a correct response",
            fix="set algorithm.dynamic_sampling.metric=score, or return Score(value, correct, reason)",
            severity="warning",
        )


def _request(context: PreflightContext, name: str, source: str) -> ScoreRequest:
    """Return a request of the first row of a data source, or of a synthetic one where the files do not show it."""
    row: dict[str, Any] = {}
    for file in (*context.train, *context.validation):
        row = row or file.samples.get(source, {})
    info = (row.get("extra_info") or {}).get("info") or {}
    try:
        info = json.loads(info) if isinstance(info, str) else info
    except ValueError:
        info = {}
    answer = (row.get("reward_model") or {}).get("ground_truth", "4")
    messages = row.get("prompt") or []
    return ScoreRequest(
        name,
        "",
        answer=answer if isinstance(answer, str) else json.dumps(answer),
        prompt="\n\n".join(str(message.get("content", "")) for message in messages if isinstance(message, dict)),
        info=info if isinstance(info, dict) else {},
        data_source=source,
    )
