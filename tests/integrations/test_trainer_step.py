"""Whole training steps in memory: unscored samples, groups that stay together, a stop with a checkpoint, clip sides."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from memory_engine import MemoryTrainer, NotingObserver
from tensordict import NonTensorStack, TensorDict
from verl.utils.dataset.rl_dataset import collate_fn

from innovator_rl.integrations.verl.callbacks import StopRequested
from innovator_rl.integrations.verl.checkpoints import latest_complete, newest_intact
from innovator_rl.integrations.verl.rank_shares import whole_group_ranks
from innovator_rl.integrations.verl.resumable_sampler import ResumableSampler
from innovator_rl.integrations.verl.sample_key import SampleKey, group_uid
from innovator_rl.integrations.verl.update_record import clip_side, rows


def outcomes(prompt: int) -> list[float | str]:
    """The second prompt teaches nothing; the first and the fourth have unscored samples."""
    return {0: [1.0, 0.0, "error", 1.0], 1: [0.0] * 4, 3: ["abstained", 1.0, 0.0, 0.0]}.get(
        prompt, [1.0, 0.0, 0.0, 0.0]
    )


def test_a_run_trains_its_steps_on_kept_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = MemoryTrainer(tmp_path, NotingObserver(), outcomes, monkeypatch)
    trainer.train()
    assert len(trainer.workers.updates) == 3
    assert sorted(trainer.noted.metrics) == [1, 2, 3]
    prompts = [sorted({int(group_uid(key)[-2:]) for key in update}) for update in trainer.workers.updates]
    dropped = {int(uid[-2:]): reason for uid, reason in trainer.noted.dropped.items()}
    assert dropped.pop(1) == "all_wrong"
    assert set(dropped.values()) == {"surplus"}  # two prompts replaced it, the rate by then being 2 in 3
    assert prompts[0] == [0, 2]
    started = sorted({prompt for step in prompts for prompt in step} | dropped.keys() | {1})
    assert started == list(range(len(started)))  # no prompt without a place in the record
    first = trainer.noted.metrics[1]
    assert (first["sampling/kept_groups"], first["sampling/generated_groups"]) == (2.0, 4.0)
    assert first["domain/math/responses"] == 16.0
    phases = [name for step, name in trainer.noted.phases if step == 1]
    assert phases == ["generating", "log-probabilities", "updating", "syncing"]


def test_an_unscored_sample_trains_with_advantage_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = MemoryTrainer(tmp_path, NotingObserver(), outcomes, monkeypatch, "schedule.steps=2")
    trainer.train()
    for update, prompt, session, mean in ((trainer.workers.updates[0], 0, 2, 2 / 3),):
        group = {SampleKey.parse(key).session: value for key, value in update.items() if key[-6:-4] == f"{prompt:02d}"}
        assert group[session]["rm_scores"].sum().item() == pytest.approx(mean)
        assert group[session]["advantages"].abs().max().item() == pytest.approx(0.0, abs=1e-5)
        others = [fields["advantages"][0].item() for number, fields in group.items() if number != session]
        assert sum(others) == pytest.approx(0.0, abs=1e-5)
        assert all(abs(advantage) > 0.1 for advantage in others)
    assert trainer.noted.metrics[1]["sampling/unscored_samples"] == 1.0


def test_the_samples_of_a_group_reach_the_update_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = MemoryTrainer(tmp_path, NotingObserver(), outcomes, monkeypatch)
    trainer.train()
    for update in trainer.workers.updates:
        assert list(update) == sorted(update)


def test_a_fallback_group_trains_and_is_not_recorded_as_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = MemoryTrainer(
        tmp_path,
        NotingObserver(),
        lambda prompt: [1.0, 0.0, 0.0, 0.0] if prompt == 0 else [0.0] * 4,
        monkeypatch,
        "algorithm.dynamic_sampling.max_rounds=2",
        "schedule.steps=1",
    )
    trainer.train()
    assert trainer.noted.metrics[1]["sampling/fallback_groups"] == 1.0
    trained = {group_uid(key) for key in trainer.workers.updates[0]}
    assert len(trained) == 2
    assert not trained & trainer.noted.dropped.keys()
    assert len(trained | trainer.noted.dropped.keys()) == trainer.noted.metrics[1]["sampling/started_groups"]


def test_each_update_of_a_step_sees_every_data_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = MemoryTrainer(
        tmp_path,
        NotingObserver(),
        lambda prompt: [1.0, 0.0],
        monkeypatch,
        "algorithm.prompts_per_step=32",
        "algorithm.prompts_per_update=8",
        "algorithm.old_log_prob=rollout",
        "rollout.samples_per_prompt=2",
        "schedule.steps=10",
    )
    rows = [{"data_source": "math", "raw_prompt": [{"role": "user", "content": str(i)}]} for i in range(1600)]
    trainer.train_dataloader = ResumableSampler(rows, collate_fn, seed=0, shuffle=True)  # four files of 400 rows
    trainer.train()
    shares = torch.zeros(4, 4)  # update of a step, file
    for step in trainer.workers.updates:
        for i, key in enumerate(step):
            row = int(group_uid(key).split("-")[1][1:])
            shares[i // 16, row // 400] += 100 / (16 * len(trainer.workers.updates))
    # 80 prompts per update: 25 % with a standard deviation of 5 %; sorted by row it was 82/18/0/0
    assert shares.min() > 10
    assert shares.max() < 40


def test_ranks_that_share_prompts_get_whole_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = MemoryTrainer(tmp_path, NotingObserver(), outcomes, monkeypatch, "schedule.steps=1")
    trainer.workers._dispatch_info = {"actor": [0, 1]}
    trainer.train()
    keys = [group_uid(key) for key in trainer.workers.updates[0]]
    assert len(set(keys[:4])) == len(set(keys[4:])) == 1
    assert len(set(keys)) == 2


def test_whole_groups_are_balanced_by_tokens_where_they_divide() -> None:
    keys = [f"e0000-r{n:07d}-p{n:08d}_{sample}_0" for n in (3, 1, 2, 0) for sample in (0, 1)]
    tokens = [9, 9, 2, 2, 8, 8, 3, 3]  # groups 3, 1, 2 and 0
    ranks = whole_group_ranks(keys, tokens, 2)
    assert ranks is not None
    assert ranks[::2] == ranks[1::2]
    assert sorted(sum(t for t, r in zip(tokens, ranks, strict=True) if r == rank) for rank in (0, 1)) == [22, 22]
    assert whole_group_ranks(keys, tokens, 3) is None
    assert whole_group_ranks(keys[:-1], tokens[:-1], 2) is None  # one of them lost a sample


def test_with_several_ranks_the_balanced_shares_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = MemoryTrainer(tmp_path, NotingObserver(), outcomes, monkeypatch, "schedule.steps=1")
    trainer.config.trainer.device = "cuda"  # whose engine shares no prompts
    trainer.workers._dispatch_info = {"actor": [0, 1]}
    trainer.train()
    keys = list(trainer.workers.updates[0])
    assert keys[:4] == sorted(keys[:4])  # a rank's samples of a prompt are neighbors
    assert keys[4:] == sorted(keys[4:])
    sizes = [trainer.workers.updates[0][key]["responses"].numel() for key in keys]
    assert keys != sorted(keys)
    assert abs(sum(sizes[:4]) - sum(sizes[4:])) <= 1


def test_a_stop_request_ends_the_run_after_its_step_with_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = MemoryTrainer(tmp_path, NotingObserver(stop_after=2), outcomes, monkeypatch)
    with pytest.raises(StopRequested, match="after step 2"):
        trainer.train()
    assert len(trainer.workers.updates) == 2
    saved = latest_complete(tmp_path / "checkpoints")
    assert saved is not None
    assert saved.step == 2
    state = torch.load(saved.path / "data.pt", weights_only=False)
    assert state["position"] == sum(trainer.noted.metrics[step]["sampling/started_groups"] for step in (1, 2))
    assert sum(state["rates"]["seen"].values()) > 2  # what the next step's number of prompts depends on


def test_a_step_is_on_record_before_its_checkpoint_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(NotingObserver):
        """Ends the run, as a kill would, when the step's checkpoint counts and before its metrics are due."""

        def saving(self, step: int, metrics: dict[str, float]) -> None:
            assert latest_complete(tmp_path / "checkpoints") is None
            super().saving(step, metrics)

        def phase(self, name: str, step: int) -> None:
            if name == "syncing":
                raise KeyboardInterrupt

    trainer = MemoryTrainer(tmp_path, Killed(), outcomes, monkeypatch, "schedule.save_every=1")
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    saved = latest_complete(tmp_path / "checkpoints")
    assert saved is not None
    assert saved.step == 1
    assert trainer.noted.metrics == {}
    noted = trainer.noted.before_saved[1]
    assert {
        "sampling/started_groups",
        "actor/grad_norm",
        "response_length/mean",
        "domain/math/responses",
    } <= noted.keys()


def test_an_earlier_attempts_checkpoint_does_not_stand_for_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandoned = tmp_path / "checkpoints" / "global_step_2"
    (abandoned / "actor").mkdir(parents=True)
    (abandoned / "actor" / "model.pt").write_bytes(b"damaged")
    (abandoned / "complete.json").write_text('{"files": {"actor/model.pt": {"size": 7, "xxh3": "0"}}}')
    trainer = MemoryTrainer(tmp_path, NotingObserver(stop_after=2), outcomes, monkeypatch)
    with pytest.raises(StopRequested):
        trainer.train()
    found, damaged = newest_intact(tmp_path / "checkpoints")
    assert damaged == []
    assert found is not None
    assert found.step == 2


def test_a_request_in_the_last_step_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = MemoryTrainer(tmp_path, NotingObserver(stop_after=3), outcomes, monkeypatch)
    trainer.train()
    assert len(trainer.workers.updates) == 3


LOW, HIGH, DUAL = 0.2, 0.28, 10.0


@pytest.mark.parametrize(
    ("ratio", "advantage", "side"),
    [
        (1.3, 1.0, 1),  # a good token already more likely than the range allows
        (1.3, -1.0, 0),  # a bad one: its gradient must flow
        (0.7, -1.0, -1),  # a bad token already less likely than the range allows
        (0.7, 1.0, 0),
        (1.1, 1.0, 0),
        (0.9, -1.0, 0),
        (11.0, -1.0, 1),  # dual clip
        (11.0, 1.0, 1),
        (1.3, 0.0, 0),
        (0.7, 0.0, 0),
    ],
)
def test_the_clip_cuts_only_against_the_advantage(ratio: float, advantage: float, side: int) -> None:
    found = clip_side(torch.tensor([ratio]), torch.tensor([advantage]), LOW, HIGH, DUAL)
    assert found.tolist() == [side]


def test_the_rows_of_an_update_hold_ratios_and_sides_per_response_token() -> None:
    def nested(*values: list[float]) -> torch.Tensor:
        return torch.nested.as_nested_tensor([torch.tensor(value) for value in values], layout=torch.jagged)

    micro_batch = TensorDict(
        {
            "uid": NonTensorStack("a", "b"),
            "session_id": NonTensorStack(0, 3),
            "global_steps": NonTensorStack(7, 7),
            "responses": nested([1.0, 2.0], [3.0, 4.0, 5.0]),
            "response_mask": nested([1.0, 1.0], [0.0, 0.0, 0.0]),  # the second row is padding
            "old_log_probs": nested([-1.0, -1.0], [0.0, 0.0, 0.0]),
            "rollout_log_probs": nested([-1.5, -0.5], [0.0, 0.0, 0.0]),
            "advantages": nested([0.5, 0.5], [0.0, 0.0, 0.0]),
        },
        batch_size=[2],
    )
    # verl stores at position t the value of token t + 1: a prompt of one token, then the response
    outputs = {"log_probs": nested([-0.5, -1.0, 9.0], [0.0] * 4), "entropy": nested([2.0, 3.0, 9.0], [0.0] * 4)}
    config = SimpleNamespace(clip_ratio_low=LOW, clip_ratio_high=HIGH, clip_ratio_c=DUAL)
    (row,) = rows(micro_batch, outputs, config)
    assert (row.step, row.prompt_uid, row.sample, row.kept, row.advantage) == (7, "a", 0, True, 0.5)
    assert row.ratio == pytest.approx([1.64872127, 1.0])
    assert row.clip_side == [1, 0]
    assert row.entropy == [2.0, 3.0]
    assert (row.old_logprobs, row.rollout_logprobs) == ([-1.0, -1.0], [-1.5, -0.5])
    (short,) = rows(micro_batch, outputs, config, token_share=0.0)
    assert (short.step, short.prompt_uid, short.sample, short.kept, short.advantage) == (7, "a", 0, True, 0.5)
    assert (short.ratio, short.clip_side, short.old_logprobs, short.entropy) == (None, None, None, None)
    micro_batch["response_mask"] = nested([0.0, 1.0], [0.0, 0.0, 0.0])  # the first token is a tool's
    (row,) = rows(micro_batch, outputs, config)
    assert row.ratio == pytest.approx([1.0, 1.0])
