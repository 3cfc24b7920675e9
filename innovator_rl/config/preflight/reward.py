"""Is there a rewarder for every row, and can it do its work on this machine."""

from collections.abc import Iterator
from difflib import get_close_matches

from innovator_rl.config.preflight import health
from innovator_rl.config.preflight.case import Case
from innovator_rl.config.preflight.finding import Finding
from innovator_rl.scoring import registry


def check(case: Case) -> Iterator[Finding]:
    """Findings about routes, rewarders and the pool that runs them."""
    known = registry.names()
    yield from _routes(case, known)
    yield from _rows(case, known)
    yield from _health(case)
    yield from _pool(case)


def _exists(name: str, known: list[str]) -> bool:
    return name in known or ":" in name


def _hint(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 3, 0.5)
    return (
        f"near: {', '.join(near)}"
        if near
        else f"installed: {', '.join(known) or 'none, install the project with pip install -e .'}"
    )


def _routes(case: Case, known: list[str]) -> Iterator[Finding]:
    files = [*case.train, *case.validation]
    sources = {source for file in files for source in file.sources}
    complete = len(files) >= len(case.config.data.train) + len(case.config.data.validation) and not any(
        file.problem for file in files
    )
    for source, name in case.config.reward.routes.items():
        key = f"reward.routes.{source}"
        if not _exists(name, known):
            yield Finding(key, name, "no rewarder has this name", _hint(name, known))
        if sources and complete and source not in sources:
            near = get_close_matches(source, sorted(sources), 3, 0.5) or sorted(sources)
            yield Finding(
                key,
                name,
                "no row has this data_source, so the route is never taken",
                f"there are: {', '.join(near[:8])}",
            )


def _rewarders(case: Case) -> dict[str, set[str]]:
    """data_source -> rewarder names in force, routes before rows."""
    found: dict[str, set[str]] = {}
    for file in (*case.train, *case.validation):
        for source, names in file.rewarders.items():
            route = case.config.reward.routes.get(source)
            found.setdefault(source, set()).update({route} if route else names)
    return found


def _rows(case: Case, known: list[str]) -> Iterator[Finding]:
    for source, names in sorted(_rewarders(case).items()):
        if source in case.config.reward.routes:
            continue
        for name in sorted(names):
            if not name:
                yield Finding(
                    f"reward.routes.{source}",
                    None,
                    "its rows name no rewarder in extra_info.reward, and there is no route",
                    f"set one of {', '.join(known)}",
                )
            elif not _exists(name, known):
                yield Finding(
                    f"reward.routes.{source}",
                    name,
                    "the rewarder that its rows name does not exist",
                    _hint(name, known),
                )


def _health(case: Case) -> Iterator[Finding]:
    used = {name for names in _rewarders(case).values() for name in names} | set(case.config.reward.routes.values())
    yield from health.check(used, case.config.reward.model_dump())


def _pool(case: Case) -> Iterator[Finding]:
    reward = case.config.reward
    total = reward.workers * reward.memory_mb << 20
    if total > case.machine.memory:
        why = (
            f"{reward.workers} workers may take {total / 2**30:.0f} GiB of this machine's "
            f"{case.machine.memory / 2**30:.0f} GiB"
        )
        yield Finding("reward.memory_mb", reward.memory_mb, why, "lower reward.memory_mb or reward.workers", "warning")
    if reward.workers > 4 * case.machine.cores:
        yield Finding(
            "reward.workers",
            reward.workers,
            f"this machine has {case.machine.cores} cores",
            f"set at most {2 * case.machine.cores}",
            "warning",
        )
