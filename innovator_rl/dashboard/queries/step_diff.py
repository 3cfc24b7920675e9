"""Compare two steps or two runs by the prompts newly solved and newly lost.

Prompts are matched by `prompt_id`, which is the same in every step and run. Where a prompt has several groups within a range
of steps, the newest one counts.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from innovator_rl.dashboard.queries.filters import Filters, Parameters, check_names, one, read_filters
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.rollouts.background_indexer import preview

RULES = {
    "any": lambda correct, samples: correct > 0,
    "majority": lambda correct, samples: 2 * correct > samples,
    "all": lambda correct, samples: correct == samples,
}
MOST_LISTED = 200
PREVIEW_SEGMENTS = 12

Row = dict[str, Any]


class OnlySteps:
    """Query parameters reduced to kind and one step range."""

    def __init__(self, kind: str, step: str) -> None:
        self._values = {"kind": [kind], "step": [step]}

    def keys(self) -> list[str]:
        """Return the two names."""
        return list(self._values)

    def getlist(self, key: str) -> list[str]:
        """Return the value of a name, or nothing."""
        return self._values.get(key, [])


def step_diff(before: RunSession, after: RunSession, parameters: Parameters) -> Row:
    """Return the prompts whose groups changed between solved and not solved."""
    found = compare_steps(before, after, parameters)
    found.pop("everything")
    return found


def compare_steps(before: RunSession, after: RunSession, parameters: Parameters) -> Row:
    """Return the answer of `step_diff`, and `everything`: all prompts in common by what became of them."""
    check_names(parameters, ("run", "run2", "step", "step2", "kind", "rule"))
    rule = one(parameters, "rule", "any")
    if rule not in RULES:
        raise RequestError(f"rule={rule[:40]}: must be one of {', '.join(RULES)}")
    kind = one(parameters, "kind", "train")
    steps = [one(parameters, name, "") for name in ("step", "step2")]
    if not all(steps):
        raise RequestError("step and step2 must be given, each a step or a range of steps")
    was, now = (
        _groups(session, read_filters(OnlySteps(kind, step)))
        for session, step in zip((before, after), steps, strict=True)
    )
    common = sorted(was.keys() & now.keys())
    lists: dict[str, list[Row]] = {"newly_solved": [], "newly_lost": [], "still_solved": [], "still_unsolved": []}
    by_domain: dict[str, Counter[str]] = {}
    for prompt_id in common:
        old, new = was[prompt_id], now[prompt_id]
        solved = RULES[rule](old["correct"], old["samples"]), RULES[rule](new["correct"], new["samples"])
        name = {(False, True): "newly_solved", (True, False): "newly_lost", (True, True): "still_solved"}.get(
            solved, "still_unsolved"
        )
        domain = new["domain"] or old["domain"]
        lists[name].append({"prompt_id": prompt_id, "domain": domain, "from": old, "to": new})
        by_domain.setdefault(domain or "none", Counter()).update([name, "common"])
    shown = {name: _shown(after, lists[name]) for name in ("newly_solved", "newly_lost")}
    return {
        "from": {"run": before.run.name, "step": steps[0], "prompts": len(was)},
        "to": {"run": after.run.name, "step": steps[1], "prompts": len(now)},
        "common": len(common),
        "rule": rule,
        "counts": {name: len(rows) for name, rows in lists.items()},
        "domains": [
            {"domain": domain, **{name: counts[name] for name in ("newly_solved", "newly_lost", "common")}}
            for domain, counts in sorted(by_domain.items())
        ],
        **shown,
        "everything": lists,
        "steps_compared": {
            "from": sorted({g["step"] for g in was.values()}),
            "to": sorted({g["step"] for g in now.values()}),
        },
    }


def _groups(session: RunSession, filters: Filters) -> dict[str, Row]:
    rows = session.index.query(
        f"""SELECT prompt_id, step, prompt_uid AS uid, correct, samples, reward_mean, domain, rid FROM groups
            WHERE {filters.where} AND prompt_id IS NOT NULL ORDER BY step, rid""",
        filters.values,
    )
    return {row.pop("prompt_id"): row for row in rows}


def _shown(session: RunSession, rows: list[Row]) -> list[Row]:
    """Return the biggest changes first.

    Prompts are previewed as long as few files have to be read.
    """
    rows = sorted(
        rows,
        key=lambda row: (
            -abs(row["to"]["correct"] / row["to"]["samples"] - row["from"]["correct"] / row["from"]["samples"])
        ),
    )
    rows = rows[:MOST_LISTED]
    rids = [row["to"]["rid"] for row in rows]
    found = session.index.query(
        "SELECT rid, segment, position FROM responses WHERE rid IN (SELECT unnest(?::BIGINT[]))", [rids]
    )
    groups = sorted({(row["segment"], row["position"] // 1024) for row in found})[:PREVIEW_SEGMENTS]
    places = {(r["segment"], r["position"]): r["rid"] for r in found if (r["segment"], r["position"] // 1024) in groups}
    texts = session.reader.rows(places, ("prompt",)) if places else {}
    prompts = {places[place]: preview(text.get("prompt") or "") for place, text in texts.items()}
    return [
        {
            **row,
            "from": {key: value for key, value in row["from"].items() if key not in ("rid", "domain")},
            "to": {key: value for key, value in row["to"].items() if key not in ("rid", "domain")},
            "preview": prompts.get(row["to"]["rid"]),
        }
        for row in rows
    ]
