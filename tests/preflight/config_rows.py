"""Rows of data as the configuration tests plant them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def row(index: int, source: str = "gsm8k", reward: str = "math") -> dict[str, Any]:
    return {
        "data_source": source,
        "prompt": [{"role": "user", "content": f"What is {index} + {index}?"}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": str(2 * index)},
        "extra_info": {
            "id": str(index),
            "index": index,
            "domain": "math",
            "reward": reward,
            "info": "{}",
            "split": "train",
        },
    }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


ACTOR = "verl.actor_rollout_ref.actor"
ROLLOUT = "verl.actor_rollout_ref.rollout"
CORRECTION = "verl.algorithm.rollout_correction"

# (what people wrote, the setting that the message must name): each trained wrongly, or failed once Ray was running
LATE_MISTAKES = [
    (f"{ROLLOUT}.enable_rollout_routing_replay=true", f"{ROLLOUT}.enable_rollout_routing_replay"),
    (f"{CORRECTION}.rollout_rs=token_k1 {CORRECTION}.rollout_rs_threshold=2.0", f"{CORRECTION}.rollout_rs"),
    (f"{CORRECTION}.rollout_rs=tokn {CORRECTION}.rollout_rs_threshold=2.0", f"{CORRECTION}.rollout_rs"),
    (f"{CORRECTION}.rollout_rs=token_k1 algorithm.old_log_prob=recompute", f"{CORRECTION}.rollout_rs"),
    (f"{ACTOR}.checkpoint.save_contents=[model]", f"{ACTOR}.checkpoint.save_contents"),
    (f"{ACTOR}.checkpoint.async_save=true", f"{ACTOR}.checkpoint.async_save"),
    ("data.mixture={unit-sum: 1.0} data.train=[unit-sum, unit-check, stem]", "data.mixture"),
    ("data.train=[unit-sum, unit-sum]", "data.train"),
    (f"{ACTOR}.policy_loss.loss_mode=gspo", f"{ACTOR}.policy_loss.loss_mode"),
    ("algorithm.weight_decay=1.0", "algorithm.weight_decay"),
    ("algorithm.entropy_coefficient=1.0", "algorithm.entropy_coefficient"),
    ("schedule.validate_every=50 schedule.validate_before=false schedule.steps=12", "schedule.validate_every"),
    ("schedule.validation_suites=[smok]", "schedule.validation_suites"),
    ("rollout.max_response_tokens=2", "rollout.max_response_tokens"),
    (f"{ACTOR}.ppo_epochs=4 algorithm.old_log_prob=rollout", f"{ACTOR}.ppo_epochs"),
    (f"{ACTOR}.policy_loss.loss_mode=gsppo", f"{ACTOR}.policy_loss.loss_mode"),
    (f"{ACTOR}.strategy=fsdp3", f"{ACTOR}.strategy"),
    (f"{ACTOR}.strategy=megatron", f"{ACTOR}.strategy"),
    (f"{ACTOR}.optim.optimizer=AdamWW", f"{ACTOR}.optim.optimizer"),
    (f"{ACTOR}.optim.lr_scheduler_type=cosin", f"{ACTOR}.optim.lr_scheduler_type"),
    (f"{ACTOR}.kl_loss_type=low_var", f"{ACTOR}.kl_loss_type"),
    (f"{ROLLOUT}.agent.default_agent_loop=tool_agnt", f"{ROLLOUT}.agent.default_agent_loop"),
    (f"{ROLLOUT}.multi_turn.enable=true", f"{ROLLOUT}.multi_turn.enable"),
    ("verl.reward.reward_model.enable=true", "verl.reward.reward_model.enable"),
    ("verl.distillation.enabled=true", "verl.distillation.enabled"),
    (f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size=2", f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size"),
    (f"{ACTOR}.ulysses_sequence_parallel_size=2", f"{ACTOR}.ulysses_sequence_parallel_size"),
    (f"{ACTOR}.fsdp_config.fsdp_size=3", f"{ACTOR}.fsdp_config.fsdp_size"),
    (f"{ACTOR}.ppo_epochs=0", f"{ACTOR}.ppo_epochs"),
    (f"{ROLLOUT}.top_k=1", f"{ROLLOUT}.top_k"),
]

LATE_MISTAKES += [
    ("algorithm.policy_loss=gspo", "algorithm.clip_high"),
    ("algorithm.rollout_correction.lower=0.5", "algorithm.rollout_correction.lower"),
    ("algorithm.preset=gspo algorithm.clip_high=0.28", "algorithm.clip_high"),
    (f"algorithm.preset=gspo {ACTOR}.policy_loss.loss_mode=cispo", f"{ACTOR}.policy_loss.loss_mode"),
]

LATE_MISTAKES += [
    (f"{ACTOR}.checkpoint.load_contents=[model]", f"{ACTOR}.checkpoint.load_contents"),
    ("verl.actor_rollout_ref.ref.strategy=fsdp3", "verl.actor_rollout_ref.ref.strategy"),
    (f"{ACTOR}.optim.betas=[0.9, 1.5]", f"{ACTOR}.optim.betas"),
    (f"{ACTOR}.optim.min_lr_ratio=2.0", f"{ACTOR}.optim.min_lr_ratio"),
    (f"{ACTOR}.optim.num_cycles=-1.0", f"{ACTOR}.optim.num_cycles"),
    (f"{ROLLOUT}.load_format=dumy", f"{ROLLOUT}.load_format"),
    (f"{ROLLOUT}.scheduling_policy=fifo", f"{ROLLOUT}.scheduling_policy"),
    (f"{ROLLOUT}.logprobs_mode=raw_logits", f"{ROLLOUT}.logprobs_mode"),
    (f"{ROLLOUT}.agent.num_workers=0", f"{ROLLOUT}.agent.num_workers"),
    (f"{ROLLOUT}.agent.default_agent_loop=tool_agent", f"{ROLLOUT}.agent.default_agent_loop"),
    (f"{ROLLOUT}.repetition_penalty=1.2", f"{ROLLOUT}.repetition_penalty"),
]

LATE_MISTAKES += [
    ("rollout.samples_per_prompt=4096", "rollout.samples_per_prompt"),
    ("algorithm.learning_rate=1e-12", "algorithm.learning_rate"),
    ("algorithm.gradient_clip=1e-9", "algorithm.gradient_clip"),
    ("rollout.temperature=3", "rollout.temperature"),
    ("rollout.temperature=0.01", "rollout.temperature"),
    ("reward.timeout_seconds=0.001", "reward.timeout_seconds"),
    ("reward.workers=5000", "reward.workers"),
    ("tools.names=[calculator] tools.max_result_tokens=8 tools.timeout_seconds=0.001", "tools.timeout_seconds"),
    ("tools.names=[calculator] tools.max_result_tokens=8 tools.workers=1000", "tools.workers"),
    ("data.mixture={gsm8k: 1.0, physics: 1e-6}", "data.mixture.physics"),
    ("algorithm.dynamic_sampling.metric_by_source={gsm8: score}", "algorithm.dynamic_sampling.metric_by_source"),
    ("schedule.keep_best=true schedule.validate_every=0", "schedule.keep_best"),
    ("schedule.keep_best=true schedule.save_every=0", "schedule.keep_best"),
    (
        "schedule.validation_suites=[smoke] schedule.validate_every=0 schedule.validate_before=false",
        "schedule.validation_suites",
    ),
    ("reward.routes={gsm8: math}", "reward.routes.gsm8"),
    ("rollout.max_staleness=2 algorithm.rollout_correction.level=off", "algorithm.rollout_correction.level"),
    ("rollout.max_staleness=2 rollout.seed_requests=true", "rollout.seed_requests"),
    ("data.curriculum=true algorithm.dynamic_sampling.enabled=false", "data.curriculum"),
    ("data.curriculum=true algorithm.preset=grpo", "data.curriculum"),
    (
        "algorithm.dynamic_sampling={enabled: false, metric_by_source: {gsm8k: score}}",
        "algorithm.dynamic_sampling.metric_by_source",
    ),
    ("schedule.keep_best=true schedule.save_every=5 schedule.validate_every=4 schedule.steps=19", "schedule.keep_best"),
    ("schedule.resume_contents=weights", "schedule.resume_contents"),
    (
        "schedule.resume_contents=weights schedule.resume=other algorithm.kl_coefficient=0.01",
        "schedule.resume_contents",
    ),
    ("data.validation_rows=0", "data.validation_rows"),
    (f"{ACTOR}.policy_loss.loss_mode=bypass_mode", f"{ACTOR}.policy_loss.loss_mode"),
    (f"{ACTOR}.optim.optimizer=LBFGS", f"{ACTOR}.optim.optimizer"),
    (f"{ACTOR}.optim.optimizer_impl=nowhere", f"{ACTOR}.optim.optimizer_impl"),
    (f"{CORRECTION}.loss_type=foo", f"{CORRECTION}.loss_type"),
    (
        f"{CORRECTION}.rollout_rs=token_k1 {CORRECTION}.rollout_rs_threshold=abc algorithm.old_log_prob=recompute",
        f"{CORRECTION}.rollout_rs_threshold",
    ),
    (f"{ROLLOUT}.quantization=foo", f"{ROLLOUT}.quantization"),
    (f"{ROLLOUT}.checkpoint_engine.backend=foo", f"{ROLLOUT}.checkpoint_engine.backend"),
    (f"{ROLLOUT}.data_parallel_size=2", f"{ROLLOUT}.data_parallel_size"),
    (f"{ROLLOUT}.engine_kwargs.vllm.max_num_sequences=1", f"{ROLLOUT}.engine_kwargs.vllm.max_num_sequences"),
    (f"{ROLLOUT}.multi_turn.tool_config_path=no/tools.yaml", f"{ROLLOUT}.multi_turn.tool_config_path"),
    (f"{ROLLOUT}.agent.agent_loop_config_path=no/loops.yaml", f"{ROLLOUT}.agent.agent_loop_config_path"),
    ("verl.data.custom_cls.path=no/data.py", "verl.data.custom_cls.path"),
    ("verl.transfer_queue.backend.storage_backend=foo", "verl.transfer_queue.backend.storage_backend"),
    ("verl.reward.reward_model.enable=true", "verl.reward.reward_model.enable"),
    (
        "verl.actor_rollout_ref.model.override_config.attn_implementation=foo",
        "verl.actor_rollout_ref.model.override_config.attn_implementation",
    ),
]

# values of the same keys that are right
FINE = [
    "algorithm.kl_coefficient=0.01",
    f"algorithm.kl_coefficient=0.01 {ACTOR}.kl_loss_type=low_var_kl",
    f"{CORRECTION}.rollout_rs=token_k1,seq_mean_k3 {CORRECTION}.rollout_rs_threshold=2.0 algorithm.old_log_prob=recompute",
    f"{ACTOR}.policy_loss.loss_mode=cispo",
    f"{ACTOR}.policy_loss.loss_mode=gspo algorithm.clip_low=3e-4 algorithm.clip_high=4e-4",
    *(f"algorithm.preset={name}" for name in ("grpo", "dapo", "dr_grpo", "gspo", "cispo", "icepop")),
    f"{ACTOR}.optim.lr_scheduler_type=cosine",
    f"{ACTOR}.optim.optimizer=SGD",
    f"{ACTOR}.ppo_epochs=2",
    f"{ACTOR}.checkpoint.save_contents=[model,optimizer,extra,hf_model]",
    f"{ROLLOUT}.top_k=50",
    f"{ACTOR}.optim.betas=[0.9, 0.95] {ACTOR}.optim.min_lr_ratio=0.1 {ROLLOUT}.load_format=safetensors",
    f"{ROLLOUT}.agent.num_workers=3 {ROLLOUT}.scheduling_policy=priority",
    "algorithm.loss_aggregation=seq-mean-token-sum-norm",
    "rollout.samples_per_prompt=128",
    "algorithm.learning_rate=1e-8 algorithm.gradient_clip=0.001 rollout.temperature=1.9",
    "reward.timeout_seconds=0.5 reward.workers=100",
    "data.mixture={gsm8k: 1000.0} algorithm.dynamic_sampling.metric_by_source={gsm8k: score}",
    "schedule.keep_best=true",
    "rollout.max_staleness=2",
    "data.curriculum=true",
    f"{CORRECTION}.rollout_rs=token_k1 {CORRECTION}.rollout_rs_threshold=0.5_2.0 algorithm.old_log_prob=recompute",
    f"{ROLLOUT}.engine_kwargs.vllm.long_prefill_token_threshold=64",
]
