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
CHECKPOINT_ENGINES = (
    "base", "nccl_checkpoint_engine", "hccl_checkpoint_engine", "nixl_checkpoint_engine", "kimi_checkpoint_engine",
    "mooncake_checkpoint_engine", "delta_checkpoint_engine",
)  # fmt: skip
"""Modules of verl that register a way to send weights."""
ENGINE_ARGUMENTS = (
    ("vllm.engine.arg_utils", "EngineArgs"),
    ("vllm.engine.arg_utils", "AsyncEngineArgs"),
    ("vllm.entrypoints.openai.cli_args", "BaseFrontendArgs"),
    ("vllm.entrypoints.openai.cli_args", "FrontendArgs"),
)
"""Classes of vLLM whose fields are the arguments of a server."""
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
    yield from _tools_and_clipping(given)
    yield from _files(given)
    yield from _engine_arguments(given)


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
    bound = given.get(f"{CORRECTION}.rollout_rs_threshold")
    if bound is None:
        yield ValueProblem(key, given[key], "rejects nothing without a bound", f"set verl.{key}_threshold too")
    elif not all(_positive(number) for part in str(bound).split(",") for number in part.split("_")):
        why = "each bound must be a number above 0, or LOWER_UPPER for k1"
        yield ValueProblem(
            f"{key}_threshold", bound, why, "give one bound, or one per name of rollout_rs with commas between"
        )
    if resolve(config, context.platform, context.is_moe).old_log_prob == "rollout":
        why = "rejects by the difference between two log-probabilities, and only the rollout engine's are computed"
        yield ValueProblem(key, given[key], why, "set algorithm.old_log_prob=recompute")


def _positive(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False


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
        if key == f"{ROLLOUT}.data_parallel_size" and value > 1 and context.platform == "cpu":
            why = "a CPU's engine is one process; resources.accelerators_per_node starts several"
            yield ValueProblem(key, value, why, "set 1")
        if key.endswith("fsdp_config.fsdp_size") and value > 0:
            workers = config.resources.nodes * config.resources.accelerators_per_node
            if workers % value:
                yield ValueProblem(key, value, f"does not divide the run's {workers} training processes", "set -1")


def _tools_and_clipping(given: dict[str, Any]) -> Iterator[ValueProblem]:
    if given.get("distillation.enabled"):
        why = "the trainer has no teacher: a run would wait for it"
        yield ValueProblem("distillation.enabled", True, why, "leave it out")
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


def _files(given: dict[str, Any]) -> Iterator[ValueProblem]:
    for key in FILES:
        value = given.get(key)
        if isinstance(value, str) and value and not Path(value).expanduser().exists():
            yield ValueProblem(key, value, "is not found", "correct the path; it is read where the run starts")


def _engine_arguments(given: dict[str, Any]) -> Iterator[ValueProblem]:
    """Check arguments of vLLM's engine, which the server reads once the run has started."""
    known = [name for module, kind in ENGINE_ARGUMENTS for name in field_names(module, kind)]
    for key, value in given.items():
        name = key.removeprefix(f"{ROLLOUT}.engine_kwargs.vllm.").partition(".")[0]
        if key.startswith(f"{ROLLOUT}.engine_kwargs.vllm.") and known and name.replace("-", "_") not in known:
            near = get_close_matches(name, known, 3, 0.5)
            yield ValueProblem(
                key, value, f"vLLM has no argument {name!r}", f"near: {', '.join(near)}" if near else "leave it out"
            )


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


def field_names(module: str, kind: str) -> tuple[str, ...]:
    """Return the names of the annotated fields of a class."""
    return tuple(
        node.target.id
        for place in ast.walk(_source(module))
        if isinstance(place, ast.ClassDef) and place.name == kind
        for node in place.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    )


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
    """Return torch's optimizers that take a step without a closure; another implementation names its own."""
    if given.get(f"{ACTOR}.optim.optimizer_impl", "torch.optim") != "torch.optim":
        return ()
    names = constant_set("torch.optim", "__all__")
    return tuple(name for name in names if name[:1].isupper() and name not in ("Optimizer", "LBFGS", "SparseAdam"))


def _policy_losses(_: dict[str, Any]) -> tuple[str, ...]:
    """Return the registered losses but the one that verl chooses by itself where old log-probabilities are the rollout's."""
    names = registered("verl.trainer.ppo.core_algos", "register_policy_loss")
    return tuple(name for name in names if name != "bypass_mode")


def _optimizer_modules(_: dict[str, Any]) -> tuple[str, ...]:
    packages = ("torch.optim", "torchao.optim", "bitsandbytes.optim")  # that verl's documentation names
    return tuple(name for name in packages if find_spec(name.partition(".")[0]) is not None)


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
    f"{ACTOR}.policy_loss.loss_mode": _policy_losses,
    f"{ACTOR}.kl_loss_type": _kl_types,
    f"{ACTOR}.strategy": lambda _: ("fsdp", "fsdp2"),  # that our engines extend
    "actor_rollout_ref.ref.strategy": lambda _: ("fsdp", "fsdp2"),
    f"{ROLLOUT}.load_format": lambda _: constant_set(
        "vllm.model_executor.model_loader", "_LOAD_FORMAT_TO_MODEL_LOADER"
    ),
    f"{ROLLOUT}.scheduling_policy": lambda _: ("fcfs", "priority"),
    f"{ROLLOUT}.logprobs_mode": lambda _: ("processed_logprobs",),  # at the temperature that the trainer's have
    f"{ACTOR}.optim.optimizer": _optimizers,
    f"{ACTOR}.optim.optimizer_impl": _optimizer_modules,
    f"{CORRECTION}.loss_type": lambda _: compared_strings(
        "verl.trainer.ppo.core_algos", "compute_policy_loss_bypass_mode", "loss_type"
    ),
    f"{ROLLOUT}.quantization": lambda _: ("fp8", "torchao", "ascend"),  # of a local in verl's vLLM server
    f"{ROLLOUT}.checkpoint_engine.backend": lambda _: tuple(
        name for file in CHECKPOINT_ENGINES for name in registered(f"verl.checkpoint_engine.{file}", "register")
    ),
    "transfer_queue.backend.storage_backend": lambda _: ("SimpleStorage",),  # the one that needs no other service
    "actor_rollout_ref.model.override_config.attn_implementation": lambda _: (
        "eager",
        "sdpa",
        "flash_attention_2",
        "flash_attention_3",
        "flex_attention",
    ),
    f"{ACTOR}.optim.lr_scheduler_type": lambda _: compared_strings(
        "verl.workers.config.optimizer", "__post_init__", "lr_scheduler_type"
    ),
    f"{ROLLOUT}.agent.default_agent_loop": _agent_loops,
    f"{CORRECTION}.rollout_rs": lambda _: constant_set(
        "verl.trainer.ppo.rollout_corr_helper", "SUPPORTED_ROLLOUT_RS_OPTIONS"
    ),
}
"""Key -> its choices; an empty tuple leaves the value unchecked."""

FILES = (
    f"{ROLLOUT}.multi_turn.tool_config_path",
    f"{ROLLOUT}.multi_turn.function_tool_path",
    f"{ROLLOUT}.multi_turn.interaction_config_path",
    f"{ROLLOUT}.agent.agent_loop_config_path",
    "data.custom_cls.path",
    "actor_rollout_ref.model.lora_adapter_path",
)
"""Keys whose value is a file or folder that verl opens once Ray runs."""

BOUNDS: dict[str, tuple[Callable[[float], bool], str]] = {
    f"{ACTOR}.optim.betas": (lambda value: 0 <= value < 1, "from 0 to below 1"),
    f"{ACTOR}.optim.min_lr_ratio": (lambda value: 0 <= value <= 1, "from 0 to 1"),
    f"{ACTOR}.optim.num_cycles": (lambda value: value > 0, "above 0"),
    f"{ROLLOUT}.agent.num_workers": (lambda value: value >= 1, "1 or more"),
}
"""Key -> what its number, or each number of its list, must be."""
