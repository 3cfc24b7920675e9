"""Is there a rewarder for every row, and can it do its work on this machine."""

from collections.abc import Iterator
from difflib import get_close_matches

from innovator_rl.errors import UserError
from innovator_rl.preflight import rewarder_health
from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.diagnostic import Diagnostic
from innovator_rl.scoring import ScoringPool, registry

LOAD_SECONDS = 60.0


def check(case: PreflightContext, deep: bool = False) -> Iterator[Diagnostic]:
    """Findings about routes, rewarders and the pool that runs them; `deep` loads every rewarder in a process apart."""
    try:
        known = registry.names()
    except UserError as error:
        yield Diagnostic("reward.routes", None, *_halves(str(error)))
        return
    yield from _routes(case, known)
    yield from _rows(case, known)
    yield from _health(case)
    yield from _pool(case)
    if deep:
        yield from _loads(case)


def _exists(name: str) -> bool:
    return not _mistake(name)


def _mistake(name: str) -> str:
    """What is wrong with a rewarder's name or formula; empty where it leads somewhere."""
    try:
        registry.check(name)
    except UserError as error:
        return str(error)
    return ""


def _hint(name: str, known: list[str]) -> str:
    if not name.isidentifier():
        return _mistake(name)
    near = get_close_matches(name, known, 3, 0.5)
    return (
        f"near: {', '.join(near)}"
        if near
        else f"installed: {', '.join(known) or 'none, install the project with pip install -e .'}"
    )


def _halves(message: str) -> tuple[str, str]:
    """A sentence of the form `what is wrong; what to do` in its two parts."""
    why, _, fix = message.rpartition("; ")
    return (why, fix) if why else (message, "correct it")


def _loads(case: PreflightContext) -> Iterator[Diagnostic]:
    """Import every rewarder in use as a judge will: a missing library, a wrong signature or a wrong attribute shows."""
    used: dict[str, str] = {}
    for source, names in sorted(_rewarders(case).items()):
        used.update({name: source for name in names if name and _exists(name)})
    used.update({name: source for source, name in case.config.reward.routes.items() if _exists(name)})
    if not used:
        return
    reward = case.config.reward
    pool = ScoringPool(
        1,
        LOAD_SECONDS,
        reward.memory_mb,
        code_isolation=reward.code_isolation,
        start_seconds=LOAD_SECONDS,
        warm=sorted(used),
    )
    with pool:
        for name, source in used.items():
            about = pool.describe(name)
            if about["problem"]:
                yield Diagnostic(
                    f"reward.routes.{source}",
                    name,
                    f"the rewarder cannot be used: {about['problem']}",
                    f"correct it and run `innovator reward check {name}`",
                )
            elif about["group"] and case.config.resources.nodes > 1:
                yield Diagnostic(
                    f"reward.routes.{source}",
                    name,
                    "it judges groups, and verl spreads the responses of a prompt over one reward worker a node",
                    "set verl.reward.num_workers=1 or resources.nodes=1",
                )


def _routes(case: PreflightContext, known: list[str]) -> Iterator[Diagnostic]:
    files = [*case.train, *case.validation]
    sources = {source for file in files for source in file.sources}
    complete = len(files) >= len(case.config.data.train) + len(case.config.data.validation) and not any(
        file.problem for file in files
    )
    for source, name in case.config.reward.routes.items():
        key = f"reward.routes.{source}"
        if not _exists(name):
            yield Diagnostic(key, name, "no rewarder has this name", _hint(name, known))
        if sources and complete and source not in sources:
            near = get_close_matches(source, sorted(sources), 3, 0.5) or sorted(sources)
            yield Diagnostic(
                key,
                name,
                "no row has this data_source, so the route is never taken",
                f"there are: {', '.join(near[:8])}",
            )


def _rewarders(case: PreflightContext) -> dict[str, set[str]]:
    """data_source -> rewarder names in force, routes before rows."""
    found: dict[str, set[str]] = {}
    for file in (*case.train, *case.validation):
        for source, names in file.rewarders.items():
            route = case.config.reward.routes.get(source)
            found.setdefault(source, set()).update({route} if route else names)
    return found


def _rows(case: PreflightContext, known: list[str]) -> Iterator[Diagnostic]:
    for source, names in sorted(_rewarders(case).items()):
        if source in case.config.reward.routes:
            continue
        for name in sorted(names):
            if not name:
                yield Diagnostic(
                    f"reward.routes.{source}",
                    None,
                    "its rows name no rewarder in extra_info.reward, and there is no route",
                    f"set one of {', '.join(known)}",
                )
            elif not _exists(name):
                yield Diagnostic(
                    f"reward.routes.{source}",
                    name,
                    "the rewarder that its rows name does not exist",
                    _hint(name, known),
                )


def _health(case: PreflightContext) -> Iterator[Diagnostic]:
    used = {name for names in _rewarders(case).values() for name in names} | set(case.config.reward.routes.values())
    yield from rewarder_health.check(used, case.config.reward.model_dump())


def _pool(case: PreflightContext) -> Iterator[Diagnostic]:
    reward = case.config.reward
    total = reward.workers * reward.memory_mb << 20
    if total > case.machine.memory:
        why = (
            f"{reward.workers} workers may take {total / 2**30:.0f} GiB of this machine's "
            f"{case.machine.memory / 2**30:.0f} GiB"
        )
        yield Diagnostic(
            "reward.memory_mb", reward.memory_mb, why, "lower reward.memory_mb or reward.workers", "warning"
        )
    if reward.workers > 4 * case.machine.cores:
        yield Diagnostic(
            "reward.workers",
            reward.workers,
            f"this machine has {case.machine.cores} cores",
            f"set at most {2 * case.machine.cores}",
            "warning",
        )
