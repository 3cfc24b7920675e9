"""Check the tools that a model may call: that they exist, load, and leave room for an answer."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.override_values import registered
from innovator_rl.preflight.context import PreflightContext
from innovator_rl.preflight.data import tokenizer_of
from innovator_rl.preflight.diagnostic import Diagnostic
from innovator_rl.tools import registry
from innovator_rl.tools.call import ToolCaller


def check(context: PreflightContext, deep: bool = False) -> Iterator[Diagnostic]:
    """Check the section `tools`.

    Args:
        context: the run.
        deep: import every tool, in a process of its own.
    """
    tools = context.config.tools
    if not tools.names:
        return
    good = []
    for name in tools.names:
        try:
            registry.target(name)
        except UserError as error:
            why, _, fix = str(error).rpartition("; ")
            yield Diagnostic(setting="tools.names", value=name, why=why, fix=fix)
        else:
            good.append(name)
    yield from _names(context)
    yield from _room(context)
    if deep and good:
        yield from _loads(context, good)


def _names(context: PreflightContext) -> Iterator[Diagnostic]:
    tools, known = context.config.tools, registered("verl.experimental.agent_loop.tool_parser", "register")
    if known and tools.call_format not in known:
        near = get_close_matches(tools.call_format, known, 3, 0.5) or known
        yield Diagnostic(
            setting="tools.call_format",
            value=tools.call_format,
            why="unknown tool parser of verl",
            fix=f"near: {', '.join(near)}",
        )
    seen = [name.rpartition(":")[2].rpartition(".")[2] for name in tools.names]
    if twice := sorted({name for name in seen if seen.count(name) > 1}):
        why = f"the model would see two tools called {' and '.join(twice)}"
        yield Diagnostic(setting="tools.names", value=list(tools.names), why=why, fix="give each tool another name")


def _room(context: PreflightContext) -> Iterator[Diagnostic]:
    tools, response = context.config.tools, context.config.rollout.max_response_tokens
    if tools.max_result_tokens >= response:
        yield Diagnostic(
            setting="tools.max_result_tokens",
            value=tools.max_result_tokens,
            why=f"a result may fill rollout.max_response_tokens = {response}, of which it is part, and no answer would fit",
            fix=f"set at most {max(1, response // 4)}, or a larger rollout.max_response_tokens",
        )


def _loads(context: PreflightContext, names: list[str]) -> Iterator[Diagnostic]:
    tools, reward = context.config.tools, context.config.reward
    caller = ToolCaller(
        names,
        workers=1,
        timeout_seconds=tools.timeout_seconds,
        memory_mb=tools.memory_mb,
        code_isolation=reward.code_isolation,
    )
    try:
        descriptions = []
        for name in names:
            problem = caller.problem(name)
            try:
                descriptions += [] if problem else [caller.description(name)]
            except UserError as error:
                problem = str(error)
            if problem:
                why, fix = f"the tool cannot be used: {problem}", "correct it, or leave it out"
                yield Diagnostic(setting="tools.names", value=name, why=why, fix=fix)
        if len(descriptions) == len(names):
            yield from _template(context, descriptions)
    finally:
        caller.close()


def _template(context: PreflightContext, descriptions: list[dict[str, Any]]) -> Iterator[Diagnostic]:
    """Check that the model's chat template has tool messages, and that the descriptions fit."""
    from innovator_rl.integrations.verl import tool_loop

    tokenizer = tokenizer_of(context.model_folder) if context.model_folder is not None else None
    if tokenizer is None:
        return  # the check of the model names what is missing
    tools = [tool_loop.as_tool(description, print) for description in descriptions]
    room = context.config.tools.prompt_tokens
    try:
        tool_loop.check_template(tokenizer, tools, room)
    except UserError as error:
        setting, _, message = str(error).partition(": ")
        why, _, fix = message.rpartition("; ")
        if setting == "model.path":
            yield Diagnostic(setting="model.path", value=context.config.model.path, why=why, fix=fix)
        else:
            yield Diagnostic(setting="tools.prompt_tokens", value=room, why=why, fix=fix)
