"""Check a rewarder before it trains a model.

Golden cases and probes are scored in the same pool as in a run, so that what passes here passes there. Then the same
requests are scored again: in the same process, in another process, in another order, with deadlines that are too short,
and with workers that are killed. A score must depend on nothing but its request.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import os
import random
import statistics
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from innovator_rl.errors import UserError
from innovator_rl.scoring import registry
from innovator_rl.scoring.api import Score, ScoreRequest
from innovator_rl.scoring.authoring.adversarial import Probe, probes
from innovator_rl.scoring.authoring.golden import NOTHING, Case, find, read
from innovator_rl.scoring.authoring.report import Report
from innovator_rl.scoring.composite import label
from innovator_rl.scoring.grouping import with_response
from innovator_rl.scoring.pool import ScoringPool

WANTED = {"full": 3, "zero": 3, "malformed": 3}
SLOW_SECONDS = 1.0
CONSTANT_FAILS, CONSTANT_WARNS = 0.25, 0.02
LATENCY_SCORES, LATENCY_SECONDS = 200, 5.0
KILLS = 5
SHORT_DEADLINE = 0.001
MARK = "INNOVATOR_CHECK"
_STATE = "keep no state between calls, seed every random choice, iterate over no unordered set"


@dataclasses.dataclass(frozen=True)
class CheckConfig:
    """The pool's settings for a check, the same as for a run."""

    timeout_seconds: float = 10.0
    memory_mb: int = 2048
    code_isolation: str = "standard"
    start_seconds: float = 120.0

    def pool(self, **changes: Any) -> ScoringPool:
        """Return a pool with one shared worker."""
        return ScoringPool(1, **{**dataclasses.asdict(self), **changes})


def check(
    rewarder: str,
    *,
    name: str | None = None,
    golden: Path | None = None,
    bounds: CheckConfig | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Report:
    """Check a rewarder and report everything that must be fixed.

    Args:
        rewarder: The rewarder to check.
        name: The name under which its golden file is looked up; its own by default.
        golden: The golden file itself.
        bounds: The settings of the pool.
        progress: Called with the name of each part as it begins.

    Raises:
        UserError: The rewarder is unknown or cannot be called by the engine, or the golden file cannot be read.
    """
    registry.require_known(rewarder)
    bounds = bounds or CheckConfig()
    report = Report(rewarder)
    started = time.monotonic()
    mark = uuid.uuid4().hex
    os.environ[MARK] = mark  # the worker processes and all that they start inherit it
    try:
        with tempfile.TemporaryDirectory() as folder, bounds.pool(warm=[rewarder]) as pool:
            progress("load")
            about = pool.describe(rewarder)
            if about["problem"]:
                if about.get("mistake"):
                    raise UserError(about["problem"])
                loaded = "version" in about
                fix = "provide what it reports to be missing" if loaded else "make it importable here"
                report.problem("ready" if loaded else "load", about["problem"], fix)
                return report
            report.version = about["version"]
            cases = _cases(report, golden or _beside(name or label(rewarder), about["source"]))
            if about["group"] and not any(case.inputs.get("responses") for case in cases):
                report.problem(
                    "golden",
                    "this rewarder compares responses and no case has several",
                    "write cases with `responses`, and lists of that length as `case` and `value`",
                )
                return report
            tricks = probes(rewarder, cases, Path(folder, "touched"))
            progress("golden cases")
            scored = _golden(report, pool, rewarder, cases)
            progress("probes")
            content = bool(_CONTENT & set(about["arguments"]))
            scored += _probes(report, pool, tricks, content)
            if Path(folder, "touched").exists():
                report.problem("probe", "code inside an answer was run and wrote a file", "never eval a response")
            report.best_constant = _constant(report, pool, rewarder, cases)
            progress("latency")
            _latency(report, pool, [case.request(rewarder) for case in cases])
            progress("determinism")
            _determinism(report, pool, bounds, scored)
            _resources(report, pool.describe(rewarder))
        progress("time-outs and crashes")
        log = logging.getLogger(ScoringPool.__module__)
        level = log.level
        log.setLevel(logging.CRITICAL)  # the failures that follow are provoked
        try:
            _injection(report, bounds, scored)
        finally:
            log.setLevel(level)
        _leftovers(report, mark)
    finally:
        os.environ.pop(MARK, None)
        report.seconds = time.monotonic() - started
    return report


Scored = list[tuple[str, ScoreRequest, Score]]


def _beside(name: str, source: str) -> Path | None:
    return find(name, Path(source)) if source else None


def _cases(report: Report, file: Path | None) -> list[Case]:
    if file is None:
        report.problem(
            "golden", "no golden cases", "write golden.jsonl next to the rewarder: full, zero and malformed cases"
        )
        return []
    cases = read(file)
    report.golden_file = str(file)
    report.golden.update(case.kind for case in cases)
    for kind, wanted in WANTED.items():
        if report.golden[kind] < wanted:
            report.problem("golden", f"{report.golden[kind]} {kind} cases", f"write at least {wanted}")
    return cases


def _note(report: Report, score: Score) -> None:
    report.values.append(score.value)
    report.outcomes[f"{score.outcome}:{score.reason}"] += 1


def _golden(report: Report, pool: ScoringPool, rewarder: str, cases: Sequence[Case]) -> Scored:
    scored: Scored = []
    requests = [case.request(rewarder) for case in cases]
    for case, request, score in zip(cases, requests, pool.map(requests), strict=True):
        _note(report, score)
        where = f"golden line {case.line} ({case.kind})"
        for fault in case.faults(score):
            report.problem(where, f"{fault} for {request.response!r}", "correct the rewarder, or the case")
        scored.append((where, request, score))
    return scored


def _probes(report: Report, pool: ScoringPool, tricks: Sequence[Probe], content: bool) -> Scored:
    """Score the probes.

    A rewarder that sees no reference scores form alone (`content` is false): it may reward any probe, as long as it
    survives them all.
    """
    scored: Scored = []
    report.probes = len(tricks)
    earned: dict[str, set[str]] = defaultdict(set)  # probe -> references on which it earned something
    for trick, score in zip(tricks, pool.map([trick.request for trick in tricks]), strict=True):
        _note(report, score)
        part = f"probe {trick.name}"
        if score.seconds > report.slowest_probe[1]:
            report.slowest_probe = (trick.name, score.seconds)
        if score.outcome == "error":
            report.problem(part, score.reason, f"never fail on a response: {trick.fix}")
        elif score.correct or score.value > NOTHING:
            earned[trick.name].add(_meaning(trick.request.answer))
            if content and (not trick.blind or len(earned[trick.name]) > 1):
                seen = f"{trick.request.response[-80:]!r} earned {score.value:g} ({score.reason}, read {score.extracted!r})"
                report.problem(part, seen, trick.fix)
        elif score.seconds > SLOW_SECONDS:
            seen = f"took {score.seconds:.1f} s"
            report.problem(part, seen, "cap sizes, nesting, exponents before parsing", "warn")
        scored.append((part, trick.request, score))
    return scored


_CONTENT = {"answer", "gold", "info"}
_TRUE, _FALSE = {"true", "yes", "correct", "t", "1"}, {"false", "no", "incorrect", "f", "0"}
_CLOSED = {"true", "false", *"abcdeghij"}


def _meaning(answer: str) -> str:
    """Normalize a reference for comparison with another: true and yes are one."""
    plain = answer.strip().strip("().<>/ ").lower().removeprefix("answer>").removesuffix("</answer")
    return "true" if plain in _TRUE else "false" if plain in _FALSE else plain


def _constant(report: Report, pool: ScoringPool, rewarder: str, cases: Sequence[Case]) -> float | None:
    """Return the most that one golden answer earns, on average, where it is wrong."""
    full = [case for case in cases if case.kind == "full"]
    if all(_meaning(str(case.inputs.get("answer", ""))) in _CLOSED for case in full):
        return None  # true or false, a letter: a constant answer is right by chance
    best: float | None = None
    for mine in full[:10]:
        others = [case for case in full if case.inputs.get("answer") != mine.inputs.get("answer")]
        asked = [with_response(case.request(rewarder), mine.inputs["response"]) for case in others[:10]]
        if not mine.inputs.get("answer"):
            continue
        # a reference that it is right for is the same one in another notation
        partial = [score.value for score in pool.map(asked) if not score.correct]
        if len(partial) >= 2:
            best = max(best if best is not None else partial[0], statistics.mean(partial))
    if best is not None and best > CONSTANT_WARNS:
        report.problem(
            "constant answer",
            f"one golden answer earns {best:.3f} on references that it is wrong for",
            "subtract what a constant answer earns",
            "fail" if best > CONSTANT_FAILS else "warn",
        )
    return best


def _latency(report: Report, pool: ScoringPool, requests: Sequence[ScoreRequest]) -> None:
    seconds: list[float] = []
    deadline = time.monotonic() + LATENCY_SECONDS
    while requests and len(seconds) < LATENCY_SCORES and time.monotonic() < deadline:
        seconds += [score.seconds for score in pool.map(requests)]
    if len(seconds) > 1:
        cuts = statistics.quantiles(seconds, n=100, method="inclusive")
        report.latency_ms = {f"p{p}": 1000 * cuts[p - 1] for p in (50, 95, 99)}
        if cuts[98] > SLOW_SECONDS:
            report.problem("latency", f"p99 is {cuts[98]:.1f} s", "make the common case cheap", "warn")


def _resources(report: Report, about: dict[str, Any]) -> None:
    report.memory_mb = float(about.get("peak_memory_mb", 0.0))
    if late := about.get("late_imports"):
        report.problem(
            "imports",
            f"{', '.join(late)} imported while a response is scored",
            "import at the top of the module: a worker is a fork of a process that has done so, and a new one costs nothing",
            "warn",
        )


def _same(score: Score, other: Score) -> bool:
    return dataclasses.replace(score, seconds=0.0) == dataclasses.replace(other, seconds=0.0)


def _determinism(report: Report, pool: ScoringPool, bounds: CheckConfig, scored: Scored) -> None:
    """Score the same requests again.

    Once in this process, once in reverse order, once shuffled in another process.
    """
    stable = [item for item in scored if item[2].outcome != "error"]
    shuffled = random.Random(0).sample(stable, len(stable))
    with bounds.pool() as another:
        for how, order, where in (
            ("again in the same process", stable, pool),
            ("in reverse order", stable[::-1], pool),
            ("shuffled in another process", shuffled, another),
        ):
            for (name, _, score), repeated in zip(order, where.map([item[1] for item in order]), strict=True):
                if repeated.reason == "timeout":
                    seen = f"in time once, too late {how}"
                    report.problem(f"latency, {name}", seen, "cap what takes this long", "warn")
                elif not _same(score, repeated):
                    seen = f"{score.value:g} ({score.reason}) became {repeated.value:g} ({repeated.reason}) {how}"
                    report.problem(f"determinism, {name}", seen, _STATE)
                    break
        _order(report, pool, stable)


def _order(report: Report, pool: ScoringPool, scored: Scored) -> None:
    """Score groups with their responses in reverse order: each response must keep its score."""
    groups = [item for item in scored if len(set(item[1].responses)) == len(item[1].responses) > 1]
    turned = [dataclasses.replace(request, responses=request.responses[::-1]) for _, request, _ in groups]
    for (name, _, score), repeated in zip(groups, pool.map(turned), strict=True):
        if repeated.reason != "timeout" and not _same(score, repeated):
            seen = f"{score.value:g} became {repeated.value:g} with the responses in reverse order"
            report.problem(f"determinism, {name}", seen, "score a response by the group, not by its place in it")
            break


def _injection(report: Report, bounds: CheckConfig, scored: Scored) -> None:
    """Score with short deadlines and killed workers.

    Every score must be right or a named error.
    """
    golden = [item for item in scored if item[0].startswith("golden") and item[2].outcome != "error"]
    if not golden:
        return
    with bounds.pool(timeout_seconds=SHORT_DEADLINE) as hurried:
        for name, request, score in golden:
            late = next(hurried.map([request]))
            if late.reason != "timeout" and not _same(score, late):
                report.problem(f"time-out, {name}", f"{score.reason} became {late.reason}", _STATE)
    with bounds.pool() as pool:
        stop = threading.Event()
        killer = threading.Thread(target=_kill, args=(pool, stop))
        killer.start()
        try:
            for name, request, score in golden * 3:
                again = next(pool.map([request]))
                if again.outcome != "error" and not _same(score, again):
                    report.problem(f"crash, {name}", f"{score.reason} became {again.reason}", _STATE)
        finally:
            stop.set()
            killer.join()


def _kill(pool: ScoringPool, stop: threading.Event) -> None:
    for _ in range(KILLS):
        for pid in pool.worker_pids():
            try:
                psutil.Process(pid).kill()
            except psutil.Error:
                continue
        if stop.wait(0.05):
            return


def _leftovers(report: Report, mark: str) -> None:
    """Report processes that carry the mark after every worker has been closed."""
    for process in psutil.process_iter(["pid"]):
        try:
            carries = process.pid != os.getpid() and process.environ().get(MARK) == mark
        except (psutil.Error, OSError):
            continue
        if carries:
            report.problem("processes", f"{process.name()} is still running", "end what the rewarder starts")


def watch(files: Callable[[], Sequence[Path]], run: Callable[[], None], rounds: int | None = None) -> None:
    """Call `run` now and after each change of the files.

    Args:
        files: Returns the files to watch.
        run: What to call.
        rounds: The number of calls after which to return; None to watch until interrupted.
    """
    seen: dict[Path, float] = {}
    made = 0
    while rounds is None or made < rounds:
        now = {path: path.stat().st_mtime_ns for path in files() if path.is_file()}
        if now != seen:
            seen = dict(now)
            made += 1
            run()
        else:
            time.sleep(0.3)


def watched(rewarder: str, golden: Path | None) -> list[Path]:
    """Return the files whose change repeats a check.

    They are the code and data in the rewarder's folder, and its golden cases.
    """
    try:
        place = registry.target(rewarder).rpartition(":")[0]
    except UserError:
        return [golden] if golden else []
    source = Path(place) if place.endswith(".py") else _module_file(place)
    folder = [*source.parent.rglob("*.py"), *source.parent.rglob("*.jsonl")] if source is not None else []
    return [*folder, *([golden] if golden else [])]


def _module_file(module: str) -> Path | None:
    """Find a module's file without importing anything of its package."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        return None
    if not spec.submodule_search_locations:
        return Path(spec.origin) if spec.origin else None
    for location in spec.submodule_search_locations:
        for candidate in (Path(location, *rest).with_suffix(".py"), Path(location, *rest, "__init__.py")):
            if candidate.is_file():
                return candidate
    return None
