"""The reward manager as verl's reward loop loads and calls it: uniform keys, routes, decoding, the overlong term."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
verl = pytest.importorskip("verl")
import numpy as np  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402
from verl import DataProto  # noqa: E402
from verl.trainer.ppo.reward import load_reward_manager  # noqa: E402

KEYS = {
    "acc",
    "row_source",
    "score_value",
    "overlong_penalty",
    "outcome",
    "reason",
    "extracted",
    "terms",
    "reward_seconds",
    "domain",
    "rewarder",
    "response_truncated",
}


class Letters:
    """A tokenizer of single characters with a special `<think>`, a turn end and padding."""

    eos_token_id, pad_token_id = 1, 0

    def get_vocab(self) -> dict[str, int]:
        return {"<pad>": 0, "<eos>": 1, "<think>": 2, "<|im_end|>": 3}

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        special = {0: "<pad>", 1: "<eos>", 2: "<think>", 3: "<|im_end|>"}
        return "".join(special.get(i, chr(i)) for i in ids if not (skip_special_tokens and i in special))


def config(**kwargs: Any) -> Any:
    manager = {
        "source": "importlib",
        "name": "InnovatorRewardManager",
        "module": {"path": "pkg://innovator_rl.integrations.verl.reward_adapter"},
    }
    settings = {"workers": 1, "timeout_seconds": 2, "memory_mb": 512, **kwargs}
    return OmegaConf.create({"reward": {"reward_manager": manager, "reward_kwargs": settings}})


def batch(text: str, truth: str, source: str, extra: dict[str, Any], width: int = 12) -> DataProto:
    ids = [2 if c == "§" else 1 if c == "¶" else 3 if c == "|" else ord(c) for c in text]
    responses = torch.tensor([ids + [0] * (width - len(ids))])
    mask = torch.tensor([[1, 1, 1] + [1] * len(ids) + [0] * (width - len(ids))])
    fields: dict[str, Any] = {
        "data_source": source,
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": extra,
        "raw_prompt": [{"role": "user", "content": "hello"}],
    }
    arrays = {}
    for key, value in fields.items():
        arrays[key] = np.empty(1, dtype=object)
        arrays[key][0] = value
    return DataProto.from_dict(
        tensors={"prompts": torch.zeros(1, 3), "responses": responses, "attention_mask": mask}, non_tensors=arrays
    )


def test_run_single_routes_decodes_and_keeps_its_keys(plugin: Path) -> None:
    buffer = {"enable": True, "len": 4, "penalty_factor": 1.0, "log": True}
    manager = load_reward_manager(
        config(routes={"toy": "faulty"}, max_resp_len=8, overlong_buffer_cfg=buffer),
        Letters(),
        reward_router_address=None,
    )
    extra = {"domain": "math", "reward": "no_such", "info": json.dumps({"k": 1}), "index": 3}

    async def main() -> list[dict[str, Any]]:
        rows = [
            batch("§yes|¶", "§yes", "toy", extra),
            batch("raise¶", "x", "toy", extra),
            batch("yes¶", "yes", "other", extra),
            batch("yes", "yes", "other", {}),
            batch("12345678", "12345678", "toy", extra),
        ]
        rows[0].non_tensor_batch["reward_model"][0]["ground_truth"] = "<think>yes"
        return await asyncio.gather(*(manager.run_single(row) for row in rows))

    right, raised, unknown, unrouted, long = asyncio.run(main())
    for result in (right, raised, unknown, unrouted, long):
        assert set(result) == {"reward_score", "reward_extra_info"}
        assert set(result["reward_extra_info"]) == KEYS
    info = right["reward_extra_info"]
    assert (info["acc"], info["score_value"], info["overlong_penalty"], info["domain"]) == (1.0, 1.0, -0.5, "math")
    assert right["reward_score"] == 0.5
    assert (raised["reward_extra_info"]["outcome"], raised["reward_extra_info"]["reason"]) == ("error", "raised")
    assert unknown["reward_extra_info"]["reason"] == "unknown_rewarder"
    assert unrouted["reward_extra_info"]["rewarder"] == ""
    assert (long["reward_extra_info"]["response_truncated"], long["reward_score"]) == (1.0, 0.0)
    assert long["reward_extra_info"]["acc"] == 1.0
    assert info["response_truncated"] == 0.0


def test_registered_name_and_wrong_settings(plugin: Path) -> None:
    from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls

    from innovator_rl.integrations.verl.reward_adapter import InnovatorRewardManager

    assert get_reward_manager_cls("innovator") is InnovatorRewardManager
    with pytest.raises(ValueError, match="unknown keys"):
        load_reward_manager(config(tiemout=3), Letters())
    with pytest.raises(ValueError, match=r"unknown rewarder 'faultyy'.*faulty"):
        load_reward_manager(config(routes={"toy": "faultyy"}), Letters())
    with pytest.raises(ValueError, match="max_resp_len"):
        load_reward_manager(config(overlong_buffer_cfg={"enable": True, "len": 4}), Letters())


def test_a_group_rewarder_sees_the_whole_group(plugin: Path) -> None:
    manager = load_reward_manager(config(routes={"toy": "distinct"}), Letters())

    def member(text: str, uid: str) -> DataProto:
        row = batch(text, "x", "toy", {})
        for key, value in (("uid", uid), ("group_size", 3)):
            row.non_tensor_batch[key] = np.array([value], dtype=object)
        return row

    async def main() -> list[dict[str, Any]]:
        rows = [member(text, uid) for text in ("a", "b", "a") for uid in ("one", "two")]
        complete = await asyncio.gather(*(manager.run_single(row) for row in rows))
        manager.groups.patience = 0.1
        lonely = await asyncio.wait_for(manager.run_single(member("c", "three")), 10)
        return [*complete, lonely]

    results = asyncio.run(main())
    assert [result["reward_extra_info"]["acc"] for result in results] == [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]
    manager.reward_workers = 2
    manager.is_group.clear()
    with pytest.raises(ValueError, match="set 1"):
        asyncio.run(manager.run_single(member("c", "four")))


def test_an_unscored_response_has_no_overlong_penalty(plugin: Path) -> None:
    buffer = {"enable": True, "len": 4, "penalty_factor": 1.0}
    manager = load_reward_manager(
        config(routes={"toy": "faulty"}, max_resp_len=8, overlong_buffer_cfg=buffer), Letters()
    )
    result = asyncio.run(manager.run_single(batch("none" + "¶" * 4, "x", "toy", {})))
    assert (result["reward_score"], result["reward_extra_info"]["outcome"]) == (0.0, "abstained")
    assert result["reward_extra_info"]["overlong_penalty"] == 0.0


def test_with_tools_the_last_turn_is_scored(plugin: Path) -> None:
    manager = load_reward_manager(config(routes={"toy": "faulty"}), Letters(), reward_router_address=None)

    async def main() -> list[dict[str, Any]]:
        rows = []
        for fields in ({"last_turn_start": 4}, {}, {"last_turn_start": 4, "cut_at_tool": True}):
            data = batch("no¶|yes¶", "yes", "toy", {})
            data.non_tensor_batch["tool_extra_fields"] = np.array([fields], dtype=object)
            rows.append((await manager.run_single(data))["reward_extra_info"])
        return rows

    last, whole, cut = asyncio.run(main())
    assert (last["acc"], last["response_truncated"]) == (1.0, False)
    assert whole["acc"] == 0.0
    assert cut["response_truncated"]
