"""Find values that are allowed and so far from any use that a slip of the pen is likelier.

Each would train without effect, at great cost, or not at all, and nothing in a run would name it.
"""

from collections.abc import Iterator

from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.diagnostic import Diagnostic

SMALLEST_RATE = 1e-9
"""Half the spacing of float32 numbers around 0.02, the size of a usual weight: a smaller step is rounded away."""
SMALLEST_CLIP = 1e-6
"""AdamW divides a gradient by its own size plus 1e-8, which outweighs gradients clipped to less than this."""
SHORTEST_CALL_SECONDS = 0.05
"""A call to a worker process alone takes a few milliseconds, and more on a busy machine."""
WORKERS_PER_CORE = 64
RAREST = 0.01
"""Expected prompts of a source in the whole run: below, hardly any run would draw one."""


def check(context: PreflightContext) -> Iterator[Diagnostic]:
    """Check the sizes of settings against what they can do."""
    yield from _optimizer(context)
    yield from _workers(context)
    yield from _slots(context)
    yield from _shares(context)


def _optimizer(context: PreflightContext) -> Iterator[Diagnostic]:
    algorithm = context.config.algorithm
    if algorithm.learning_rate < SMALLEST_RATE:
        yield Diagnostic(
            setting="algorithm.learning_rate",
            value=algorithm.learning_rate,
            why="AdamW moves each weight by about this much per step, which float32 rounds away: nothing would be learned",
            fix="set 1e-6 to 1e-5",
        )
    if algorithm.gradient_clip < SMALLEST_CLIP:
        yield Diagnostic(
            setting="algorithm.gradient_clip",
            value=algorithm.gradient_clip,
            why="AdamW adds 1e-8 to the size of each gradient, which would outweigh gradients this small",
            fix="set 1.0",
        )


def _workers(context: PreflightContext) -> Iterator[Diagnostic]:
    reward, tools = context.config.reward, context.config.tools
    for setting, value, used in (
        ("reward.timeout_seconds", reward.timeout_seconds, True),
        ("tools.timeout_seconds", tools.timeout_seconds, bool(tools.names)),
    ):
        if used and value < SHORTEST_CALL_SECONDS:
            yield Diagnostic(
                setting=setting,
                value=value,
                why="reaching the worker process may take this long: calls would end without a result",
                fix="set 1 or more",
            )
    most = WORKERS_PER_CORE * context.machine.cores
    for setting, value, used in (
        ("reward.workers", reward.workers, True),
        ("tools.workers", tools.workers, bool(tools.names)),
    ):
        if used and value > most:
            yield Diagnostic(
                setting=setting,
                value=value,
                why=f"each is a process, and this machine has {context.machine.cores} cores",
                fix=f"set at most {2 * context.machine.cores}",
            )


def _slots(context: PreflightContext) -> Iterator[Diagnostic]:
    rollout = context.config.rollout
    if rollout.max_num_seqs < rollout.samples_per_prompt:
        yield Diagnostic(
            setting="rollout.max_num_seqs",
            value=rollout.max_num_seqs,
            why=f"not even one group of {rollout.samples_per_prompt} responses is generated at the same time",
            fix=f"set {rollout.samples_per_prompt} or more",
            severity="warning",
        )


def _shares(context: PreflightContext) -> Iterator[Diagnostic]:
    """Check that every source of the mixture is drawn at least now and then."""
    mixture, config = context.config.data.mixture, context.config
    prompts = config.schedule.steps * config.algorithm.prompts_per_step
    for name, weight in mixture.items():
        expected = prompts * weight / sum(mixture.values())
        if expected < RAREST:
            yield Diagnostic(
                setting=f"data.mixture.{name}",
                value=weight,
                why=f"of the run's {prompts} prompts {expected:.1g} would come from it: it is never drawn",
                fix="raise its weight, or leave the data out",
            )
