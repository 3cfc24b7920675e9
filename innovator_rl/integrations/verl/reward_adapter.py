"""Score responses for verl's reward loop (`verl/experimental/reward_loop`).

verl finds the class either by name, once this module is imported in its process,

    reward.reward_manager.source=register  reward.reward_manager.name=innovator

or by path in any process, which needs no import beforehand:

    reward.reward_manager.source=importlib
    reward.reward_manager.name=InnovatorRewardManager
    reward.reward_manager.module.path=pkg://innovator_rl.integrations.verl.reward_adapter

Its settings are in `reward.reward_kwargs`, a key that verl's own DAPO manager reads but verl's schema does not declare
(add it with `+` on a command line):

    routes: {gsm8k: math}        # data source -> rewarder or formula; without a route extra_info.reward counts
    workers: 2                   # processes per reward-loop worker, of which there are reward.num_workers
    timeout_seconds: 10  memory_mb: 2048  code_isolation: standard
    max_resp_len: 1024           # tokens; with the buffer, DAPO's soft overlong penalty, keys as in verl
    overlong_buffer_cfg: {enable: true, len: 256, penalty_factor: 1.0, log: true}

A response is scored as soon as it is generated. Only a rewarder that compares the responses of a group makes a response
wait for the others of its prompt, `group_size` of them (a field that the agent loop adds). verl sends each response to a
random reward worker, so such a rewarder needs `reward.num_workers=1`.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import threading
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from verl import DataProto
from verl.experimental.reward_loop.reward_manager import register
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.reward_record import CUT, LAST_TURN, RewardRecord
from innovator_rl.scoring import registry
from innovator_rl.scoring.api import TURN_ENDS, Score, ScoreRequest, error_score
from innovator_rl.scoring.group_batcher import GroupBatcher
from innovator_rl.scoring.overlong import Overlong, compose
from innovator_rl.scoring.pool import ScoringPool
from innovator_rl.secret_values import mask, restore

_KEYS = {
    "routes",
    "workers",
    "timeout_seconds",
    "memory_mb",
    "code_isolation",
    "max_resp_len",
    "overlong_buffer_cfg",
}

_pools: dict[str, ScoringPool] = {}
_pools_lock = threading.Lock()


def _shared_pool(**settings: Any) -> ScoringPool:
    """Return the process's one pool for these settings.

    Several managers in a process share its workers.
    """
    key = json.dumps(settings, sort_keys=True)
    with _pools_lock:
        if key not in _pools:
            _pools[key] = ScoringPool(**settings)
            atexit.register(_pools[key].close)
        return _pools[key]


@register("innovator")
class InnovatorRewardManager(RewardManagerBase):
    """Reward manager that scores in the pool and adds the overlong term."""

    def __init__(
        self,
        config: DictConfig,
        tokenizer: Any,
        compute_score: Any = None,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ) -> None:
        super().__init__(config, tokenizer, compute_score)
        self._tokenizer = tokenizer
        raw = config.reward.get("reward_kwargs", None) or {}
        settings: dict[str, Any] = OmegaConf.to_container(raw, resolve=True) if OmegaConf.is_config(raw) else dict(raw)  # type: ignore[assignment]
        unknown = sorted(set(settings) - _KEYS)
        if unknown:
            raise UserError(f"reward.reward_kwargs has unknown keys {unknown}; known: {sorted(_KEYS)}")
        self.routes = {source: restore(str(name)) for source, name in (settings.get("routes") or {}).items()}
        for name in self.routes.values():
            registry.require_known(name)
        self.max_tokens: int | None = settings.get("max_resp_len")
        self.overlong = _overlong(settings)
        self.pool_settings = {
            "workers": int(settings.get("workers", 2)),
            "timeout_seconds": float(settings.get("timeout_seconds", 10.0)),
            "memory_mb": int(settings.get("memory_mb", 2048)),
            "code_isolation": str(settings.get("code_isolation", "standard")),
            "warm": sorted(set(self.routes.values())),
        }
        self.dropped_ids, self.end_ids = _token_ids(tokenizer)
        self.reward_workers = int(config.reward.get("num_workers") or 1)
        self.is_group: dict[str, bool] = {}
        self.groups = GroupBatcher(lambda request: _shared_pool(**self.pool_settings).ascore_group(request))

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """Score the last sequence of `data`.

        Returns:
            `reward_score`, and the `reward_extra_info` of a `RewardRecord`.
        """
        item = data[-1:][0]
        responses = item.batch["responses"]
        width = responses.shape[-1]
        tokens = int(item.batch["attention_mask"][-width:].sum())
        ids: list[int] = responses[:tokens].tolist()
        fields = item.non_tensor_batch
        extra = dict(fields.get("extra_info") or {})
        data_source = str(fields.get("data_source", ""))
        rewarder = self.routes.get(data_source) or extra.get("reward") or ""
        turns = fields.get("tool_extra_fields") or {}
        # With tools, the last turn is scored: neither a tool's text nor a call is an answer.
        scored_ids = ids[int(turns.get(LAST_TURN) or 0) :]
        score = await self._score(scored_ids, fields, extra, data_source, rewarder)
        _, penalty = compose(score, self.overlong, tokens)
        truncated = bool(ids) and ids[-1] not in self.end_ids and tokens >= (self.max_tokens or width)
        truncated = truncated or bool(turns.get(CUT))
        record = RewardRecord.from_score(
            score,
            overlong_penalty=penalty,
            domain=str(extra.get("domain") or ""),
            rewarder=mask(rewarder),
            truncated=truncated,
            data_source=data_source,
        )
        return {"reward_score": record.reward, "reward_extra_info": record.to_verl()}

    async def _score(
        self, ids: list[int], fields: Mapping[str, Any], extra: Mapping[str, Any], data_source: str, rewarder: str
    ) -> Score:
        if not rewarder:
            return error_score("unknown_rewarder")
        pool = _shared_pool(**self.pool_settings)
        response = await asyncio.get_running_loop().run_in_executor(None, self.decode, ids)
        reward_model = fields.get("reward_model") or {}
        request = ScoreRequest(
            rewarder=rewarder,
            response=response,
            answer=_text(reward_model.get("ground_truth", "")),
            prompt=_prompt(fields.get("raw_prompt")),
            info=_info(extra.get("info")),
            data_source=data_source,
        )
        if not await self._compares_groups(pool, rewarder):
            return await pool.ascore(request)
        return await self.groups.score(str(fields.get("uid")), int(fields.get("group_size") or 1), request)

    async def _compares_groups(self, pool: ScoringPool, rewarder: str) -> bool:
        """Return whether a rewarder needs all responses of a prompt.

        A worker that has loaded it is asked once.
        """
        if rewarder not in self.is_group:
            self.is_group[rewarder] = bool((await pool.adescribe(rewarder)).get("group"))
        if self.is_group[rewarder] and self.reward_workers > 1:
            raise UserError(
                f"rewarder {rewarder!r} compares the responses of a group and verl spreads a group over reward.num_workers="
                f"{self.reward_workers} workers; set 1"
            )
        return self.is_group[rewarder]

    def decode(self, ids: list[int]) -> str:
        """Decode a response without padding and turn ends.

        Other special tokens stay, since `<think>` may be one of them.
        """
        kept = [token for token in ids if token not in self.dropped_ids]
        return str(self._tokenizer.decode(kept, skip_special_tokens=False))


def _overlong(settings: Mapping[str, Any]) -> Overlong | None:
    buffer = settings.get("overlong_buffer_cfg") or {}
    if not buffer.get("enable"):
        return None
    if not settings.get("max_resp_len"):
        raise UserError(
            "overlong_buffer_cfg.enable=true needs reward.reward_kwargs.max_resp_len, the response limit in tokens"
        )
    return Overlong(int(settings["max_resp_len"]), int(buffer.get("len", 0)), float(buffer.get("penalty_factor", 1.0)))


def _token_ids(tokenizer: Any) -> tuple[frozenset[int], frozenset[int]]:
    """Return the ids to drop before decoding, and those of them that end a response."""
    vocabulary = tokenizer.get_vocab() if hasattr(tokenizer, "get_vocab") else {}
    ends = {vocabulary[name] for name in TURN_ENDS if name in vocabulary} | {tokenizer.eos_token_id}
    ends.discard(None)
    return frozenset(ends | ({tokenizer.pad_token_id} - {None})), frozenset(ends)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _prompt(messages: Any) -> str:
    """Join the contents of a chat prompt's messages."""
    if messages is None or isinstance(messages, str):
        return messages or ""
    return "\n\n".join(_text(message.get("content", "")) for message in messages)


def _info(raw: object) -> dict[str, Any]:
    if isinstance(raw, dict):
        return raw
    try:
        info = json.loads(raw) if isinstance(raw, str) and raw else {}
    except ValueError:
        info = {}
    return info if isinstance(info, dict) else {}
