"""Check the values that a run's `verl:` section gives, beyond the names of its keys.

verl accepts many wrong values and fails late or never: a policy loss that nobody registered ends the run at its first
update, a reward model without a path inside Ray, and a key of another training backend changes nothing. The choices are read
from the source of the installed verl (its registries and literals), without importing it, so that they follow its version.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from innovator_rl.config.resolve import RuntimeContext, resolve
from innovator_rl.config.schema import RunConfig

ACTOR, ROLLOUT, CORRECTION = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "algorithm.rollout_correction"
CHECKPOINT = f"{ACTOR}.checkpoint"
WHOLE = ("model", "optimizer", "extra")
"""What a checkpoint must hold so that a resumed run is the same run."""
SEQUENCE_CLIP = 0.05
"""GSPO's ratio is a geometric mean over a response, so its clip range is orders of magnitude below this."""


@dataclass(frozen=True)
class ValueProblem:
    """One value under `verl:` that verl would ignore, or stumble over once Ray runs."""

    key: str
    value: Any
    why: str
    fix: str


def value_problems(config: RunConfig, context: RuntimeContext, given: dict[str, Any]) -> Iterator[ValueProblem]:
    """Yield what is wrong with the values of a run's `verl:` section.

    Args:
        config: the run.
        context: its platform and kind of model.
        given: dotted key -> value, as `stock.flatten` returns them.
    """
    for key, choices in CHOICES.items():
        if key in given and given[key] is not None:
            yield from _choice(key, given[key], choices(given))
    yield from _numbers(given)
    yield from _passes(config, given)
    yield from _checkpoint(given)
    yield from _correction(config, context, given)
    yield from _other_backends(config, context, given)
    yield from _models_and_tools(given)


def _choice(key: str, value: Any, choices: tuple[str, ...]) -> Iterator[ValueProblem]:
    """Check a value, or a comma-separated list of them, against the choices."""
    for name in str(value).split(","):
        if choices and name.strip() not in choices:
            near = get_close_matches(name.strip(), choices, 3, 0.5) or choices
            yield ValueProblem(key, value, f"unknown value {name.strip()!r}", f"expected one of {', '.join(near)}")


def _numbers(given: dict[str, Any]) -> Iterator[ValueProblem]:
    for key, (fits, bound) in BOUNDS.items():
        for value in given[key] if isinstance(given.get(key), (list, tuple)) else [given.get(key)]:
            if isinstance(value, (int, float)) and not fits(value):
                yield ValueProblem(key, given[key], f"{value} must be {bound}", f"give one {bound}, or leave it out")


def _passes(config: RunConfig, given: dict[str, Any]) -> Iterator[ValueProblem]:
    key = f"{ACTOR}.ppo_epochs"
    passes = given.get(key, 1)
    if not isinstance(passes, int) or passes < 1:
        yield ValueProblem(key, passes, "a step without a pass over its responses trains nothing", "set 1 or more")
    elif passes > 1 and config.algorithm.old_log_prob == "rollout":
        why = "from the second pass on the policy is not the one that sampled, so algorithm.old_log_prob must be recompute"
        yield ValueProblem(key, passes, why, "set algorithm.old_log_prob=recompute, or 1")
    if given.get(f"{ROLLOUT}.top_k") == 1:
        yield ValueProblem(f"{ROLLOUT}.top_k", 1, "makes all responses of a group equal", "set -1")


def _checkpoint(given: dict[str, Any]) -> Iterator[ValueProblem]:
    for key, other in (("save_contents", ""), ("load_contents", "; schedule.resume_contents takes weights alone")):
        contents = given.get(f"{CHECKPOINT}.{key}")
        if isinstance(contents, (list, tuple)) and not set(WHOLE) <= set(contents):
            why = f"a resumed run would begin with a fresh {', '.join(sorted(set(WHOLE) - set(contents)))}"
            yield ValueProblem(f"{CHECKPOINT}.{key}", contents, why, f"keep {', '.join(WHOLE)}{other}")
    if given.get(f"{CHECKPOINT}.async_save"):
        why = "only Megatron saves in the background; with FSDP the latest checkpoint would not be named"
        yield ValueProblem(f"{CHECKPOINT}.async_save", True, why, "leave it out")


def _correction(config: RunConfig, context: RuntimeContext, given: dict[str, Any]) -> Iterator[ValueProblem]:
    key = f"{CORRECTION}.rollout_rs"
    if not given.get(key):
        return
    if given.get(f"{CORRECTION}.rollout_rs_threshold") is None:
        yield ValueProblem(key, given[key], "rejects nothing without a bound", f"set verl.{key}_threshold too")
    if resolve(config, context.platform, context.is_moe).old_log_prob == "rollout":
        why = "rejects by the difference between two log-probabilities, and only the rollout engine's are computed"
        yield ValueProblem(key, given[key], why, "set algorithm.old_log_prob=recompute")


def _other_backends(config: RunConfig, context: RuntimeContext, given: dict[str, Any]) -> Iterator[ValueProblem]:
    replay = f"{ROLLOUT}.enable_rollout_routing_replay"
    if given.get(replay):
        why = "verl replays routes in Megatron and VeOmni only; training here is FSDP"
        yield ValueProblem(replay, True, why, "leave it out; algorithm.rollout_correction corrects the difference")
    for key, value in given.items():
        if not isinstance(value, int):
            continue
        if key.endswith("ulysses_sequence_parallel_size") and value > 1 and context.platform == "cpu":
            yield ValueProblem(key, value, "sequence parallelism needs packed attention, which CPUs lack", "set 1")
        if key.endswith("fsdp_config.fsdp_size") and value > 0:
            workers = config.resources.nodes * config.resources.accelerators_per_node
            if workers % value:
                yield ValueProblem(key, value, f"does not divide the run's {workers} training processes", "set -1")


def _models_and_tools(given: dict[str, Any]) -> Iterator[ValueProblem]:
    if given.get("distillation.enabled"):
        why = "the trainer has no teacher: a run would wait for it"
        yield ValueProblem("distillation.enabled", True, why, "leave it out")
    model = "reward.reward_model"
    if given.get(f"{model}.enable") and not given.get(f"{model}.model_path"):
        yield ValueProblem(f"{model}.enable", True, "there is no reward model to load", f"set verl.{model}.model_path")
    turns, loop = f"{ROLLOUT}.multi_turn", f"{ROLLOUT}.agent.default_agent_loop"
    if not any(
        given.get(f"{turns}.{name}") for name in ("tool_config_path", "function_tool_path", "interaction_config_path")
    ):
        for key, value in ((f"{turns}.enable", True), (loop, "tool_agent")):
            if given.get(key) == value:
                yield ValueProblem(key, value, "there are no tools to call", "set tools.names")
    mode, clip = f"{ACTOR}.policy_loss.loss_mode", given.get("innovator.clip_high")
    if given.get(mode) == "gspo" and isinstance(clip, (int, float)) and clip > SEQUENCE_CLIP:
        why = f"clips the mean ratio of a response, which algorithm.clip_high = {clip} never does"
        yield ValueProblem(mode, "gspo", why, "set algorithm.preset=gspo, or clip_low=3e-4 clip_high=4e-4")


# ---- the choices of the installed verl


@cache
def _source(module: str) -> ast.Module:
    package, *rest = module.split(".")
    spec = find_spec(package)
    base = Path(str(spec.origin if spec else "")).parent.joinpath(*rest)
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module(body=[], type_ignores=[])


def registered(module: str, decorator: str) -> tuple[str, ...]:
    """Return the names that `@decorator("name")` or `@Class.decorator("name")` registers in a module."""
    calls = (
        mark
        for node in ast.walk(_source(module))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        for mark in node.decorator_list
        if isinstance(mark, ast.Call) and _leaf(mark.func) == decorator
    )
    return tuple(str(call.args[0].value) for call in calls if call.args and isinstance(call.args[0], ast.Constant))


def constant_set(module: str, name: str) -> tuple[str, ...]:
    """Return the strings of a set, a list or a dict's keys that a module assigns to `name`."""
    for node in _source(module).body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        targets = node.targets if isinstance(node, ast.Assign) else [target]
        value = getattr(node, "value", None)
        named = any(isinstance(item, ast.Name) and item.id == name for item in targets if item is not None)
        items = value.keys if isinstance(value, ast.Dict) else getattr(value, "elts", None)
        if named and items is not None:
            return tuple(sorted(str(item.value) for item in items if isinstance(item, ast.Constant)))
    return ()


def compared_strings(module: str, function: str, variable: str) -> tuple[str, ...]:
    """Return the strings that a function compares a variable or attribute with."""
    found: list[str] = []
    for place in ast.walk(_source(module)):
        if not isinstance(place, ast.FunctionDef) or (function and place.name != function):
            continue
        for node in ast.walk(place):
            if isinstance(node, ast.Compare) and _leaf(node.left) == variable:
                found += [
                    item.value
                    for side in node.comparators
                    for item in ast.walk(side)
                    if isinstance(item, ast.Constant) and isinstance(item.value, str)
                ]
    return tuple(dict.fromkeys(found))


def _leaf(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _optimizers(given: dict[str, Any]) -> tuple[str, ...]:
    """Return torch's optimizers; another implementation names its own."""
    if given.get(f"{ACTOR}.optim.optimizer_impl", "torch.optim") != "torch.optim":
        return ()
    return tuple(name for name in constant_set("torch.optim", "__all__") if name[:1].isupper() and name != "Optimizer")


def _agent_loops(given: dict[str, Any]) -> tuple[str, ...]:
    if given.get(f"{ROLLOUT}.agent.agent_loop_config_path"):
        return ()  # the file registers others
    package = "verl.experimental.agent_loop"
    return registered(f"{package}.single_turn_agent_loop", "register") + registered(
        f"{package}.tool_agent_loop", "register"
    )


def _kl_types(_: dict[str, Any]) -> tuple[str, ...]:
    plain = compared_strings("verl.trainer.ppo.core_algos", "kl_penalty_forward", "kl_penalty")
    return plain + tuple(f"{name}+" for name in plain)  # "+": straight-through gradient


CHOICES: dict[str, Callable[[dict[str, Any]], tuple[str, ...]]] = {
    f"{ACTOR}.policy_loss.loss_mode": lambda _: registered("verl.trainer.ppo.core_algos", "register_policy_loss"),
    f"{ACTOR}.kl_loss_type": _kl_types,
    f"{ACTOR}.strategy": lambda _: ("fsdp", "fsdp2"),  # that our engines extend
    "actor_rollout_ref.ref.strategy": lambda _: ("fsdp", "fsdp2"),
    f"{ROLLOUT}.load_format": lambda _: constant_set(
        "vllm.model_executor.model_loader", "_LOAD_FORMAT_TO_MODEL_LOADER"
    ),
    f"{ROLLOUT}.scheduling_policy": lambda _: ("fcfs", "priority"),
    f"{ROLLOUT}.logprobs_mode": lambda _: ("processed_logprobs",),  # at the temperature that the trainer's have
    f"{ACTOR}.optim.optimizer": _optimizers,
    f"{ACTOR}.optim.lr_scheduler_type": lambda _: compared_strings(
        "verl.workers.config.optimizer", "__post_init__", "lr_scheduler_type"
    ),
    f"{ROLLOUT}.agent.default_agent_loop": _agent_loops,
    f"{CORRECTION}.rollout_rs": lambda _: constant_set(
        "verl.trainer.ppo.rollout_corr_helper", "SUPPORTED_ROLLOUT_RS_OPTIONS"
    ),
}
"""Key -> its choices; an empty tuple leaves the value unchecked."""

BOUNDS: dict[str, tuple[Callable[[float], bool], str]] = {
    f"{ACTOR}.optim.betas": (lambda value: 0 <= value < 1, "from 0 to below 1"),
    f"{ACTOR}.optim.min_lr_ratio": (lambda value: 0 <= value <= 1, "from 0 to 1"),
    f"{ACTOR}.optim.num_cycles": (lambda value: value > 0, "above 0"),
    f"{ROLLOUT}.agent.num_workers": (lambda value: value >= 1, "1 or more"),
}
"""Key -> what its number, or each number of its list, must be."""
