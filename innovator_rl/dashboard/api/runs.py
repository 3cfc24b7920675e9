"""Serve the list of runs, one run, its curves, and comparisons."""

from __future__ import annotations

from fastapi import APIRouter

from innovator_rl import __version__
from innovator_rl.dashboard.api.models.reward_change import PromptHistory, RewardChange
from innovator_rl.dashboard.api.models.runs import Comparison, Curves, RunDetail, RunList
from innovator_rl.dashboard.api.models.tools import StepDiff
from innovator_rl.dashboard.api.services import Query, Shared, documented
from innovator_rl.dashboard.queries.curves import GROUP_BY, curves
from innovator_rl.dashboard.queries.filters import SUPERSEDED, check_names, one
from innovator_rl.dashboard.queries.prompt_history import MOST_RUNS, prompt_history
from innovator_rl.dashboard.queries.reward_change import reward_change
from innovator_rl.dashboard.queries.run_detail import compare, run_answer
from innovator_rl.dashboard.queries.step_diff import step_diff
from innovator_rl.dashboard.runs.remote import place_of
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.dashboard.web.json_response import JsonResponse
from innovator_rl.runs.files import utc_now

LIST = {
    "archived": "Archived runs: `hide` (default), `show` or `only`.",
    "tag": "Runs with this tag.",
}
COMPARE = {"run": "Name of a run; give 2 to 4."}
CURVES = {
    "kind": "`train` (default) or `validation`.",
    "by": f"Column of the series: {', '.join(f'`{name}`' for name in GROUP_BY)}.",
}
REWARD_CHANGE = {
    "kind": "`train` (default) or `validation`.",
    "step": "Step or range of steps before.",
    "step2": "Step or range of steps after.",
}
PROMPT = {
    "prompt_id": "Identifies the prompt; it is the same in every step and run.",
    "run": "Name of a run, training or evaluation; give 1 to 6.",
}
CHANGE = {
    "run": "Name of the first run.",
    "step": "Step or range of steps in the first run; the newest group of each prompt in the range counts.",
    "run2": "Name of the second run; the first one by default.",
    "step2": "Step or range of steps in the second run.",
    "kind": "`train` (default) or `validation`.",
    "rule": "A prompt is solved when `any` (default), the `majority` or `all` of its responses are correct.",
}
router = APIRouter(tags=["Runs"])


@router.get("/api/runs", response_model=RunList, openapi_extra=documented(LIST))
def list_runs(parameters: Query, services: Shared) -> JsonResponse:
    """List the runs, newest first, without the archived ones."""
    check_names(parameters, LIST)
    runs = services.runs
    rows = runs.headlines(services.thresholds.silent_seconds)
    wanted, tag = one(parameters, "archived", "hide"), one(parameters, "tag", "")
    if wanted not in SUPERSEDED:
        raise RequestError(f"archived={wanted[:40]}: must be one of {', '.join(SUPERSEDED)}")
    hidden = sum(row["archived"] for row in rows)
    if wanted != "show":
        rows = [row for row in rows if row["archived"] == (wanted == "only")]
    if tag:
        rows = [row for row in rows if tag in row["tags"]]
    about = {"runs_dir": place_of(runs.roots[0]), "version": __version__, "demo": runs.demo, "now": utc_now()}
    return JsonResponse({**about, "rows": rows, "total": len(rows), "archived": hidden})


@router.get("/api/runs/{run}", response_model=RunDetail)
def show_run(run: str, services: Shared) -> JsonResponse:
    """Return a run's attempts, configuration, record and problems."""
    session = services.runs.open(run)
    headline = services.runs.headline(session.run, services.thresholds.silent_seconds)
    return JsonResponse(run_answer(session, services.labels(session), headline))


@router.get("/api/runs/{run}/curves", response_model=Curves, openapi_extra=documented(CURVES))
def show_curves(run: str, parameters: Query, services: Shared) -> JsonResponse:
    """Return a run's figures by step.

    The rollouts of a point are those with the filters `step` and `domain` (or another `by`) of the point.
    """
    check_names(parameters, CURVES)
    kind, by = one(parameters, "kind", "train"), one(parameters, "by", "domain")
    return JsonResponse(curves(services.runs.open(run), kind, by))


@router.get("/api/compare", response_model=Comparison, openapi_extra=documented(COMPARE, required=COMPARE))
def compare_runs(parameters: Query, services: Shared) -> JsonResponse:
    """Return the settings, revisions and packages that differ between runs."""
    check_names(parameters, COMPARE)
    return JsonResponse(compare([services.runs.directory(name) for name in parameters.getlist("run")]))


@router.get(
    "/api/runs/{run}/why", response_model=RewardChange, openapi_extra=documented(REWARD_CHANGE, ("step", "step2"))
)
def explain_reward(run: str, parameters: Query, services: Shared) -> JsonResponse:
    """Split the change of the mean reward between two ranges of steps.

    The parts of each split sum to the change: `within` because the same kind of response is rewarded differently, `mix`
    because there is more or less of a kind.
    """
    session = services.runs.open(run)
    return JsonResponse(reward_change(session, services.labels(session), parameters))


@router.get("/api/prompt", response_model=PromptHistory, openapi_extra=documented(PROMPT, required=PROMPT))
def show_prompt(parameters: Query, services: Shared) -> JsonResponse:
    """Return every group and sample of one prompt, across steps and runs."""
    check_names(parameters, PROMPT)
    names = parameters.getlist("run")
    if len(names) > MOST_RUNS:
        raise RequestError(f"run: expected 1 to {MOST_RUNS} runs, got {len(names)}")
    sessions = [services.runs.open(name) for name in dict.fromkeys(names)]
    return JsonResponse(prompt_history(sessions, one(parameters, "prompt_id", "")))


@router.get("/api/change", response_model=StepDiff, openapi_extra=documented(CHANGE, required=("run", "step", "step2")))
def show_change(parameters: Query, services: Shared) -> JsonResponse:
    """Return the prompts newly solved or newly lost between two steps or two runs."""
    before = one(parameters, "run", "")
    after = one(parameters, "run2", "") or before
    return JsonResponse(step_diff(services.runs.open(before), services.runs.open(after), parameters))
