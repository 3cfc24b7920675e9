"""Record every response as soon as its reward is known.

verl's agent loop samples a response, requests its score from the reward loop and puts both into the queue.
`RecordingWorker` adds a row in the run directory, for responses that will be trained on, for those that dynamic sampling
drops and for those that failed. A request that fails or is lost is sent again; where that brings nothing either, the sample
counts as unscored and the others of its group train. It is plugged in through `actor_rollout_ref.rollout.agent.agent_loop_manager_class`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import Any

import ray
from tensordict import TensorDict
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ, AgentLoopWorkerTQ

from innovator_rl.integrations.verl.request_patience import Patience
from innovator_rl.integrations.verl.request_seeds import request_seed
from innovator_rl.integrations.verl.reward_record import CUT, RewardRecord, reward_info
from innovator_rl.integrations.verl.tool_loop import TURNS, check_template, make_tools
from innovator_rl.integrations.verl.worker_restarts import RestartingWorkers
from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow

_actor: Any = AgentLoopWorkerTQ
_Worker: Any = _actor.__ray_metadata__.modified_class  # the class behind the Ray actor


class RecordingWorker(_Worker):
    """Agent-loop worker of verl with a recorder.

    The section `innovator` of verl's configuration has its settings.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = self.config.innovator
        node = ray.get_runtime_context().get_actor_id() or "local"
        self._recorder = Recorder(
            settings.run_dir,
            writer=f"rollout-{node[:8]}",
            attempt=settings.attempt,
            token_share=float(settings.token_share),
        )
        self._request_seed: int | None = settings.request_seed
        self._response_limit = int(self.config.actor_rollout_ref.rollout.response_length)
        self._patience = Patience(settings.request_seconds)
        self._last_error = ""
        self._generating: set[str] = set()
        if settings.tools is not None:
            self.tools, self._caller = make_tools(settings.tools)
            check_template(self.tokenizer, self.tools, int(settings.tools.prompt_tokens))

    async def _run_prompt(self, prompt: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        uid = str(prompt["uid"])
        self._generating.add(uid)
        try:
            await super()._run_prompt(prompt, *args, **kwargs)
        finally:
            self._generating.discard(uid)

    async def generating(self) -> set[str]:
        """Return the uids of the prompts that this worker is generating; a restarted worker has forgotten the others."""
        return set(self._generating)

    async def pause(self, paused: bool) -> None:
        """Stop the clock of the requests in flight while the engine keeps their answers, or let it go on."""
        self._patience.pause(paused)

    async def _run_agent_loop(self, sampling_params: dict[str, Any], trajectory: dict[str, Any], **kwargs: Any) -> Any:
        rollout = self.config.actor_rollout_ref.rollout
        kwargs.setdefault("group_size", int(rollout.val_kwargs.n if trajectory["validate"] else rollout.n))
        if self._request_seed is not None:
            seed = request_seed(
                self._request_seed,
                _prompt_name(kwargs, trajectory),
                int(kwargs["session_id"]),
                int(kwargs["global_steps"]),
            )
            sampling_params = {**sampling_params, "seed": seed}
        run = super()._run_agent_loop

        def failed(cause: str) -> None:
            self._last_error = cause

        started = time.monotonic()
        try:
            return await self._patience.attempt(lambda: run(dict(sampling_params), trajectory, **kwargs), failed)
        except Exception:
            self._recorder.rollout(
                self._row(None, trajectory["validate"], kwargs, time.monotonic() - started, self._last_error)
            )
            if trajectory["validate"]:
                raise  # verl pads what a validation lacks
            return await super()._agent_loop_postprocess(self._lost_sample(kwargs), False, **kwargs)

    def _lost_sample(self, prompt: dict[str, Any]) -> AgentLoopOutput:
        """Return what stands for a response that never came: one masked token without a score."""
        messages = [dict(message) for message in prompt["raw_prompt"]]
        options = dict(self.config.data.get("apply_chat_template_kwargs") or {})
        options["return_dict"] = False
        token = self.tokenizer.eos_token_id
        return AgentLoopOutput(
            prompt_ids=list(self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, **options)),
            response_ids=[token],
            response_mask=[0],
            response_logprobs=[0.0],
            reward_score=0.0,
            num_turns=2,
            metrics=AgentLoopMetrics(),
            extra_fields={
                "min_global_steps": int(prompt["global_steps"]),
                "max_global_steps": int(prompt["global_steps"]),
                "reward_extra_info": RewardRecord(outcome="error", reason="generation_failed").to_verl(),
            },
        )

    async def _agent_loop_postprocess(
        self, output: AgentLoopOutput | list[AgentLoopOutput], validate: bool, **kwargs: Any
    ) -> None:
        final = output[-1] if isinstance(output, list) else output
        turns = final.extra_fields.pop(TURNS, None)  # for the record alone: the queue need not carry them
        await super()._agent_loop_postprocess(output, validate, **kwargs)
        self._recorder.rollout(self._row(final, validate, kwargs, final.metrics.generate_sequences, "", turns))

    def _row(
        self,
        output: AgentLoopOutput | None,
        validate: bool,
        prompt: dict[str, Any],
        seconds: float,
        error: str,
        turns: list[dict[str, Any]] | None = None,
    ) -> RolloutRow:
        info = dict(prompt.get("extra_info") or {})
        record = _reward_record(output)
        score = record or RewardRecord(outcome="error" if error else "", reason="generation_failed" if error else "")
        response_ids = list(output.response_ids) if output is not None else []
        truncated = len(response_ids) >= self._response_limit and response_ids[-1] != self.tokenizer.eos_token_id
        truncated = truncated or (output is not None and bool(output.extra_fields.get(CUT)))
        return RolloutRow(
            step=int(prompt["global_steps"]),
            kind="validation" if validate else "train",
            prompt_uid=str(prompt["uid"]),
            prompt_id=str(info.get("id", "")),
            sample=int(prompt["session_id"]),
            data_source=str(prompt.get("data_source", "")),
            domain=str(info.get("domain", "")),
            rewarder=record.rewarder if record is not None else str(info.get("reward", "")),
            messages=[dict(message) for message in prompt["raw_prompt"]],
            prompt="\n\n".join(str(message["content"]) for message in prompt["raw_prompt"]),
            response=self.tokenizer.decode(response_ids, skip_special_tokens=False),
            answer=str((prompt.get("reward_model") or {}).get("ground_truth", "")),
            prompt_tokens=len(output.prompt_ids) if output is not None else 0,
            response_tokens=len(response_ids),
            finish_reason="error" if error else "length" if truncated else "stop",
            truncated=truncated,
            reward=float(output.reward_score) if output is not None and output.reward_score is not None else 0.0,
            score_value=score.value,
            overlong_penalty=score.overlong_penalty,
            correct=score.correct,
            outcome=score.outcome,
            reason=score.reason,
            extracted=score.extracted,
            terms=score.terms or None,
            reward_seconds=score.seconds,
            generate_seconds=float(seconds),
            status="failed" if error else "ok",
            error=error or None,
            info=str(info.get("info") or "{}"),
            turns=turns if turns and len(turns) > 1 else None,
            weight_version_min=_version(output, "min_global_steps"),
            weight_version_max=_version(output, "max_global_steps"),
            token_ids=response_ids,
            rollout_logprobs=list(output.response_logprobs or []) if output is not None else [],
        )

    def last_error(self) -> str:
        """Return the last line of the latest failed generation's error."""
        lines = self._last_error.strip().splitlines()
        return lines[-1] if lines else ""  # a remote traceback ends with its cause

    def flush(self) -> dict[str, Any]:
        """Write what is buffered and return the recorder's counts."""
        self._recorder.flush()
        return dataclasses.asdict(self._recorder.stats())


def _prompt_name(prompt: dict[str, Any], trajectory: dict[str, Any]) -> str:
    """Return what names a prompt in every run of the same configuration; verl draws the uids of validation at random."""
    if not trajectory["validate"]:
        return str(prompt["uid"])
    info = dict(prompt.get("extra_info") or {})
    return f"validation {prompt.get('data_source', '')} {info.get('id', '')} {info.get('index', '')}"


def _reward_record(output: AgentLoopOutput | None) -> RewardRecord | None:
    """Return the record of a generated response; None where no reward function ran."""
    info = reward_info(output.extra_fields) if output is not None else {}
    return RewardRecord.from_verl(info) if info else None


def _version(output: AgentLoopOutput | None, key: str) -> int | None:
    value = output.extra_fields.get(key) if output is not None else None
    return None if value is None else int(value)


class RecordingAgentLoopManager(AgentLoopManagerTQ):
    """Agent-loop manager of verl with recording workers, which take turns and are restarted where they die.

    verl cuts each batch into one chunk per worker and starts with the first worker: the replacements of dynamic sampling,
    batches of one, would all go to it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        workers: Any = RestartingWorkers(RecordingWorker)  # verl annotates Ray's own class
        self.agent_loop_workers_class = workers

    def generate_sequences(self, prompts: TensorDict) -> None:
        """Give prompts to the workers, beginning with the one after the last that got some."""
        super().generate_sequences(prompts)
        workers: list[Any] = self.agent_loop_workers
        used = len(prompts.chunk(len(workers))) % len(workers)
        self.agent_loop_workers = workers[used:] + workers[:used]

    def pause(self, paused: bool) -> None:
        """Tell every worker that the engine pauses unfinished answers, or goes on with them; waits for none."""
        workers: list[Any] = self.agent_loop_workers
        for worker in workers:
            worker.pause.remote(paused)

    def flush(self) -> None:
        """Let every worker write what it has buffered.

        A dead worker has written all but its last second.
        """
        with contextlib.suppress(ray.exceptions.RayError):
            workers: list[Any] = self.agent_loop_workers
            ray.get([worker.flush.remote() for worker in workers], timeout=30)
