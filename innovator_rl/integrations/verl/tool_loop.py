"""Let a response call tools: verl's loop over turns, bounded, with every turn in the record.

verl's `ToolAgentLoop` generates until the model calls a tool, adds the result as a message, and generates on. A response
is then one sequence of tokens whose mask is 1 where the model wrote and 0 where a tool or the chat template did, so that
tool text is context and never trained on. Added here:

- whatever a tool does becomes text that fits `tools.max_result_tokens`, and calls beyond `tools.max_calls` a refusal;
- tools are described in the system message where the chat template does not describe them;
- `extra_fields` has the turns for the record, and where the last turn begins, which is the text that is scored;
- every turn has its own seed.

`RecordingWorker` (agent_loop.py) makes the tools once per process; verl makes one `ToolLoop` per response.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, register
from verl.experimental.agent_loop.tool_agent_loop import AgentData, AgentState, ToolAgentLoop
from verl.tools.function_tool import FunctionTool
from verl.tools.schemas import OpenAIFunctionToolSchema, ToolResponse

from innovator_rl.errors import EngineError, UserError
from innovator_rl.integrations.verl.reward_record import CUT, LAST_TURN
from innovator_rl.integrations.verl.settings import TOOL_LOOP
from innovator_rl.tools import registry
from innovator_rl.tools.call import ToolCaller

TURNS = "innovator_turns"
"""Key of `extra_fields` with the turns as the record has them."""

DESCRIPTION = """You may call a tool. Write the call as
<tool_call>
{{"name": "NAME", "arguments": {{"ARGUMENT": VALUE}}}}
</tool_call>
and end your turn; its result follows, and then you answer. Tools:
{tools}"""


def make_tools(settings: Mapping[str, Any]) -> tuple[list[FunctionTool], ToolCaller]:
    """Return the tools of a run in verl's form, and what runs them.

    Args:
        settings: The section `tools` of the run, with `code_isolation`.

    Raises:
        UserError: A tool is unknown or not described, or two have one name.
    """
    names = list(settings["names"])
    bounds = {key: settings[key] for key in ("workers", "timeout_seconds", "memory_mb", "code_isolation")}
    caller = ToolCaller(names, **bounds)
    tools: dict[str, FunctionTool] = {}
    for name in names:
        tool = as_tool(registry.describe(name, registry.load(name, bounds)), _call(caller, name))
        if tool.name in tools:
            raise UserError(f"tools.names: two tools are called {tool.name!r}; expected a name for each")
        tools[tool.name] = tool
    return list(tools.values()), caller


def as_tool(description: Mapping[str, Any], call: Callable[..., Any]) -> FunctionTool:
    """Return a tool in verl's form from its description in OpenAI's."""
    schema = OpenAIFunctionToolSchema.model_validate(description)
    return FunctionTool(schema.function.name, call, schema, is_async=True)


def _call(caller: ToolCaller, name: str) -> Any:
    async def call(**arguments: Any) -> str:
        return await caller(name, arguments)

    return call


def schemas(tools: list[FunctionTool]) -> list[dict[str, Any]]:
    """Return the descriptions as verl hands them to the chat template."""
    return [tool.tool_schema.model_dump(exclude_unset=True, exclude_none=True) for tool in tools]


def described(tokenizer: Any, tools: list[FunctionTool], messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages of a prompt, with the tools in the system message where the chat template leaves them out."""
    shown = tokenizer.apply_chat_template(messages, tools=schemas(tools), tokenize=False)
    if shown != tokenizer.apply_chat_template(messages, tokenize=False):
        return messages
    text = DESCRIPTION.format(tools="\n".join(json.dumps(schema["function"]) for schema in schemas(tools)))
    if messages and messages[0]["role"] == "system":
        return [{**messages[0], "content": f"{messages[0]['content']}\n\n{text}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def check_template(tokenizer: Any, tools: list[FunctionTool], room: int) -> int:
    """Return how many tokens the descriptions of the tools add to a prompt.

    Raises:
        UserError: More than `room`, or the chat template has no tool messages.
    """
    asked: list[dict[str, Any]] = [{"role": "user", "content": "1 + 1?"}]

    def tokens(messages: list[dict[str, Any]], **options: Any) -> int:
        return len(tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False, **options))

    added = tokens(described(tokenizer, tools, asked), tools=schemas(tools)) - tokens(asked)
    if added > room:
        raise UserError(
            f"tools.prompt_tokens = {room}: the descriptions of the tools have {added} tokens; set {added} or more"
        )
    call = {"type": "function", "function": {"name": tools[0].name, "arguments": {}}}
    turns = [*asked, {"role": "assistant", "content": "", "tool_calls": [call]}]
    try:
        assert tokens([*turns, {"role": "tool", "content": "2"}]) > tokens(turns)
    except Exception as error:
        raise UserError(
            f"model.path: its chat template has no messages of the role tool ({error}); expected a template that shows them"
        ) from error
    return added


@register(TOOL_LOOP)
class ToolLoop(ToolAgentLoop):
    """One response with its tool calls."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tokenizer: Any  # verl annotates it with the factory class
        limits = self.config.innovator.tools
        self._max_calls, self._max_tokens = int(limits.max_calls), int(limits.max_result_tokens)
        self._turns: list[dict[str, Any]] = []
        self._results: list[dict[str, Any]] = []
        self._calls, self._last_start, self._cut = 0, 0, False

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        """Generate a response with its tool calls.

        Raises:
            EngineError: the engine returned no token.
        """
        tools = list(self.tools.values())
        prompt = described(self.tokenizer, tools, [dict(message) for message in kwargs["raw_prompt"]])
        output: AgentLoopOutput = await super().run(sampling_params, priority, **{**kwargs, "raw_prompt": prompt})
        if not output.response_mask:
            raise EngineError("the rollout engine returned no token")
        output.extra_fields |= {TURNS: self._turns, LAST_TURN: self._last_start, CUT: self._cut}
        return output

    async def _handle_generating_state(
        self, agent_data: AgentData, sampling_params: dict[str, Any], ignore_termination: bool = False
    ) -> AgentState:
        turn = agent_data.assistant_turns
        # verl lets every turn be as long as a whole response, and cuts what is past it without a mark
        left = self.response_length - len(agent_data.response_mask)
        sampling_params = {**sampling_params, "max_tokens": min(sampling_params.get("max_tokens", left), left)}
        if "seed" in sampling_params:  # with one seed for all, every turn would draw the same random numbers
            sampling_params = {**sampling_params, "seed": sampling_params["seed"] + turn}
        said, started = len(agent_data.messages), time.monotonic()
        state = await super()._handle_generating_state(agent_data, sampling_params, ignore_termination)
        ids = agent_data.response_ids
        self._last_start = len(agent_data.response_mask) - len(ids)
        # verl parses a turn only where the response may go on; a last turn is its text
        message = (
            agent_data.messages[-1] if len(agent_data.messages) > said else {"content": self.tokenizer.decode(ids)}
        )
        self._turns.append(
            {
                "role": "assistant",
                "content": self._without_special(message["content"]).strip(),
                "trained": True,
                "tokens": len(ids),
                "seconds": round(time.monotonic() - started, 3),
                **({"tool_calls": message["tool_calls"]} if message.get("tool_calls") else {}),
            }
        )
        return state

    async def _handle_processing_tools_state(self, agent_data: AgentData) -> AgentState:
        self._results = []
        state = await super()._handle_processing_tools_state(agent_data)
        if state == AgentState.TERMINATED:  # no room for the results: the model never read them
            self._cut = True
        else:
            self._turns += self._results
        return state

    async def _call_tool(self, tool_call: Any, tools_kwargs: dict[str, Any], agent_data: AgentData) -> Any:
        turn = {"role": "tool", "name": tool_call.name, "content": "", "trained": False}
        self._results.append(turn)  # before the first wait, so that results stand in the order of the calls
        self._calls += 1
        started = time.monotonic()
        if self._calls > self._max_calls:
            text = f"error: a response may call tools {self._max_calls} times; answer now"
        else:
            try:
                response, _, _ = await super()._call_tool(tool_call, tools_kwargs, agent_data)
                text = response.text or ""
            except Exception as error:  # arguments that not even verl's parser expects
                text = f"error: {type(error).__name__}: {error}"
        text, tokens = self._fit(text)
        turn |= {"content": text, "tokens": tokens, "seconds": round(time.monotonic() - started, 3)}
        return ToolResponse(text=text), 0.0, {}

    def _fit(self, text: str) -> tuple[str, int]:
        """Return a result without special tokens, cut to the limit, and its number of tokens."""
        text = self._without_special(text.encode("utf-8", "replace").decode())
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        if len(ids) <= self._max_tokens:
            return text, len(ids)
        kept = self.tokenizer.decode(ids[: self._max_tokens]).rstrip("\ufffd")  # a character may be cut in half
        return f"{kept} ... (cut)", self._max_tokens

    def _without_special(self, text: str) -> str:
        """Remove special tokens: a tool that prints the end of a turn must not end one."""
        special = [str(token) for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        while found := [token for token in special if token in text]:  # what is left may form another one
            for token in found:
                text = text.replace(token, "")
        return text
