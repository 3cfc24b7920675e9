"""Check that every row has a rewarder, and that it works on this machine."""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from innovator_rl.errors import UserError
from innovator_rl.preflight import reward_values, rewarder_health, shadowed_libraries
from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.diagnostic import Diagnostic
from innovator_rl.scoring import ScoringPool, registry
from innovator_rl.secret_values import directories, find, mask, references

LOAD_SECONDS = 60.0


def check(context: PreflightContext, deep: bool = False) -> Iterator[Diagnostic]:
    """Check routes, rewarders and the pool that runs them.

    Args:
        context: the run.
        deep: import every rewarder in use, in a process of its own.
    """
    try:
        known = registry.names()
    except UserError as error:
        why, fix = _split_message(str(error))
        yield Diagnostic(setting="reward.routes", value=None, why=why, fix=fix)
        return
    yield from _routes(context, known)
    yield from _rows(context, known)
    yield from _health(context)
    yield from shadowed_libraries.check(_used(context), Path.cwd())
    yield from _pool(context)
    yield from _secrets(context)
    if deep:
        yield from _loads(context)


def _exists(name: str) -> bool:
    return not _mistake(name)


def _mistake(name: str) -> str:
    """Return what is wrong with a rewarder's name or formula.

    Empty where it can be resolved.
    """
    try:
        registry.require_known(name)
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


def _split_message(message: str) -> tuple[str, str]:
    """Split a sentence of the form `what is wrong; what to do` into its two parts."""
    why, _, fix = message.rpartition("; ")
    return (why, fix) if why else (message, "correct it")


def _secrets(context: PreflightContext) -> Iterator[Diagnostic]:
    """Report values of secrets that stand in a configuration, and references that this machine cannot resolve."""
    for source, name in context.config.reward.routes.items():
        if (masked := mask(name)) != name:
            yield Diagnostic(
                setting=f"reward.routes.{source}",
                value=masked,
                why="it holds the value of a secret; files of the run record it masked, but the configuration and the "
                "command line keep it",
                fix="write ${env:NAME} in its place and set NAME in the environment",
                severity="warning",
            )
        for secret in references(name):
            if find(secret) is None:
                yield Diagnostic(
                    setting=f"reward.routes.{source}",
                    value=name,
                    why=f"the secret {secret} is neither in the environment nor a file in {directories()[-1]}",
                    fix=f"set {secret}; with `innovator submit`, add --secret {secret}",
                    severity="error" if context.cluster is None else "warning",
                )


def _loads(context: PreflightContext) -> Iterator[Diagnostic]:
    """Import every rewarder in use as a worker will.

    A missing library, a wrong signature or a wrong attribute shows.
    """
    used: dict[str, str] = {}
    for source, names in sorted(_rewarders(context).items()):
        used.update({name: source for name in names if name and _exists(name)})
    used.update({name: source for source, name in context.config.reward.routes.items() if _exists(name)})
    if not used:
        return
    reward = context.config.reward
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
                    setting=f"reward.routes.{source}",
                    value=name,
                    why=f"the rewarder cannot be used: {about['problem']}",
                    fix=f"correct it and run `innovator reward check {name}`",
                )
            elif about["group"] and context.config.resources.nodes > 1:
                yield Diagnostic(
                    setting=f"reward.routes.{source}",
                    value=name,
                    why="it compares the responses of a group, and verl spreads the responses of a prompt over one reward worker per node",
                    fix="set verl.reward.num_workers=1 or resources.nodes=1",
                )
            else:
                yield from reward_values.never_correct(context, pool, name, source, about["group"])


def _routes(context: PreflightContext, known: list[str]) -> Iterator[Diagnostic]:
    files = [*context.train, *context.validation]
    sources = {source for file in files for source in file.sources}
    complete = len(files) >= len(context.config.data.train) + len(context.config.data.validation) and not any(
        file.problem or file.own for file in files
    )
    for source, name in context.config.reward.routes.items():
        key = f"reward.routes.{source}"
        if not _exists(name):
            yield Diagnostic(setting=key, value=name, why="unknown rewarder", fix=_hint(name, known))
        if sources and complete and source not in sources:
            near = get_close_matches(source, sorted(sources), 3, 0.5) or sorted(sources)
            yield Diagnostic(
                setting=key,
                value=name,
                why="no row has this data_source, so the route is never taken",
                fix=f"there are: {', '.join(near[:8])}",
            )


def _rewarders(context: PreflightContext) -> dict[str, set[str]]:
    """Return data_source -> rewarders in use; a route goes before the rows."""
    found: dict[str, set[str]] = {}
    for file in (*context.train, *context.validation):
        for source, names in file.rewarders.items():
            route = context.config.reward.routes.get(source)
            found.setdefault(source, set()).update({route} if route else names)
    return found


def _rows(context: PreflightContext, known: list[str]) -> Iterator[Diagnostic]:
    for source, names in sorted(_rewarders(context).items()):
        if source in context.config.reward.routes:
            continue
        for name in sorted(names):
            if not name:
                yield Diagnostic(
                    setting=f"reward.routes.{source}",
                    value=None,
                    why="its rows name no rewarder in extra_info.reward, and there is no route",
                    fix=f"set one of {', '.join(known)}",
                )
            elif not _exists(name):
                yield Diagnostic(
                    setting=f"reward.routes.{source}",
                    value=name,
                    why="the rewarder that its rows name does not exist",
                    fix=_hint(name, known),
                )


def _used(context: PreflightContext) -> set[str]:
    """Return the rewarders in use, as they are written in the routes or the rows."""
    named = {name for names in _rewarders(context).values() for name in names if name}
    return named | set(context.config.reward.routes.values())


def _health(context: PreflightContext) -> Iterator[Diagnostic]:
    yield from rewarder_health.check(_used(context), context.config.reward.model_dump())


def _pool(context: PreflightContext) -> Iterator[Diagnostic]:
    reward = context.config.reward
    total = reward.workers * reward.memory_mb << 20
    if total > context.machine.memory:
        why = (
            f"{reward.workers} workers may take {total / 2**30:.0f} GiB of this machine's "
            f"{context.machine.memory / 2**30:.0f} GiB"
        )
        yield Diagnostic(
            setting="reward.memory_mb",
            value=reward.memory_mb,
            why=why,
            fix="lower reward.memory_mb or reward.workers",
            severity="warning",
        )
    if reward.workers > 4 * context.machine.cores:
        yield Diagnostic(
            setting="reward.workers",
            value=reward.workers,
            why=f"this machine has {context.machine.cores} cores",
            fix=f"set at most {2 * context.machine.cores}",
            severity="warning",
        )
