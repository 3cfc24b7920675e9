"""Extend verl's FSDP engine with router statistics and a record of updates.

On a CPU it shares prompts as well.

Two subclasses are registered in verl's `EngineRegistry`; verl's training loop is not copied.

- `InstrumentedFSDPEngine` (CUDA) adds router statistics of mixture-of-experts layers to the metrics, writes a row in
  `updates/` for every trained response, and keeps the form of an upcycled mixture of experts
  (shared_expert_gate.py).
- `SharedPrefixEngine` (CPU) also packs a group's responses into one row (shared_prefix.py), so that a prompt is computed
  once and the head is applied to response tokens alone. Stock verl on a CPU pads every sequence to the longest instead:
  its padding-free path needs flash-attention. In bfloat16 it computes by autocast over float32 parameters.

verl imports this module in every training process through `actor_rollout_ref.model.external_lib`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from tensordict import TensorDict
from torch.distributed.tensor import DTensor
from verl.utils import tensordict_utils as tu
from verl.utils.fsdp_utils import merged_lora_context, normalize_peft_param_name
from verl.utils.torch_dtypes import PrecisionType
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

from innovator_rl.errors import EngineError
from innovator_rl.integrations.verl.router_load import RouterLoad
from innovator_rl.integrations.verl.settings import AUTOCAST_DTYPE
from innovator_rl.integrations.verl.shared_expert_gate import freeze_shared_gate
from innovator_rl.integrations.verl.shared_prefix import KeptPositions, SharedRows, pack_shared_prefix, spread
from innovator_rl.integrations.verl.update_record import UpdateRecord
from innovator_rl.models.inspect import attention_window

ENTROPY_ROWS = 1024
"""Tokens whose entropy is computed at once: a bound of memory."""


class InstrumentedFSDPEngine(FSDPEngineWithLMHead):
    """Stock engine that reports router metrics and records updates per token.

    The metrics are `router/layer_NN/{entropy,max_load,dead_experts}`.
    """

    router_load: RouterLoad | None = None
    update_record: UpdateRecord | None = None

    def _build_module(self) -> Any:
        return freeze_shared_gate(super()._build_module())

    def initialize(self) -> None:
        """Build the model, attach router statistics and open the record of updates."""
        super().initialize()
        self.router_load = RouterLoad.attach(self.module)
        if not self.engine_config.forward_only:  # a reference model is never updated
            self.update_record = UpdateRecord.from_environment(rank=torch.distributed.get_rank())

    def forward_step(self, micro_batch: TensorDict, loss_function: Any, forward_only: bool) -> Any:
        """Run one micro-batch and record it where it is trained on."""
        loss, output = super().forward_step(micro_batch, loss_function, forward_only)
        if self.update_record is not None and not forward_only:
            self.update_record.add(
                micro_batch, output["model_output"], getattr(loss_function, "keywords", {}).get("config")
            )
        return loss, output

    def prepare_model_outputs(
        self, output: Any, output_args: dict[str, Any], micro_batch: TensorDict, logits_processor_func: Any
    ) -> dict[str, torch.Tensor]:
        """Compute log-probabilities, and entropy outside the graph where nothing rewards it.

        verl would keep a softmax over the vocabulary for a gradient that a coefficient of 0 multiplies, and copy the
        logits in the backward pass.
        """

        def asked(key: str, default: bool) -> bool:
            return bool(tu.get_non_tensor_data(data=micro_batch, key=key, default=default))

        packed = asked("use_remove_padding", True) and not asked("use_fused_kernels", False)
        rewarded = not torch.is_grad_enabled() or _entropy_coefficient(logits_processor_func) != 0.0
        stock = super().prepare_model_outputs
        if rewarded or not packed or not asked("calculate_entropy", False):
            return stock(output, output_args, micro_batch, logits_processor_func)
        entropy = entropy_outside_graph(output.logits.squeeze(0), output_args["temperature_rmpad"])
        tu.assign_non_tensor(micro_batch, calculate_entropy=False)
        try:
            outputs = stock(output, output_args, micro_batch, logits_processor_func)
        finally:
            tu.assign_non_tensor(micro_batch, calculate_entropy=True)
        whole = self._gather_and_unpad_packed(entropy, output_args["pad_size"])
        outputs["entropy"] = torch.nested.nested_tensor_from_jagged(whole, micro_batch["input_ids"].offsets())
        return outputs

    def forward_backward_batch(self, data: TensorDict, loss_function: Any, forward_only: bool = False) -> Any:
        """Run a mini-batch and add the router statistics to its metrics."""
        output = super().forward_backward_batch(data, loss_function, forward_only=forward_only)
        if self.router_load is not None:
            load = self.router_load.take(self.get_data_parallel_group())
            if not forward_only and isinstance(output, dict) and "metrics" in output:
                output["metrics"].update(
                    {name: [value] for name, value in load.items()}
                )  # verl flattens one list per rank
        return output


class SharedPrefixEngine(InstrumentedFSDPEngine):
    """Engine that computes groups as single rows.

    The result is exact, with about n times fewer prompt tokens.
    """

    kept: KeptPositions | None = None
    window: int | None = None  # tokens that the model's attention sees

    def _build_fsdp_module(self, module: Any) -> Any:
        """Shard the module, and autocast where the configuration names an `autocast_dtype`.

        verl's own bfloat16 casts the parameters as well, which costs a cast per gather and rounds the sum of gradients. A
        reference model (`forward_only`) would be offloaded to pinned memory, which only an accelerator can pin.
        """
        config = self.engine_config
        self.engine_config = dataclasses.replace(config, forward_only=False)
        try:
            sharded = super()._build_fsdp_module(module)
        finally:
            self.engine_config = config
        if AUTOCAST_DTYPE in (precision := dict(self.engine_config.mixed_precision or {})):
            self._autocast_dtype = PrecisionType.to_dtype(precision[AUTOCAST_DTYPE])
        return sharded

    def initialize(self) -> None:
        """Build the model and let its head compute response tokens alone."""
        super().initialize()
        self.window = attention_window(self.module.config.to_dict())
        self.kept = KeptPositions(self.module)

    def _merged_lora_per_tensor_param(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield every weight with its adapter merged in, in the precision of the parameters.

        verl's own rounds to bfloat16; rollouts in float32 would then have other probabilities than the policy.
        """
        with merged_lora_context(self.module, backup_adapters=True):
            for name, value in normalize_peft_param_name(self.module.state_dict()).items():
                whole = value.full_tensor() if isinstance(value, DTensor) else value
                yield name, whole.detach().clone()

    def prepare_model_inputs(self, micro_batch: TensorDict) -> tuple[dict[str, Any], dict[str, Any]]:
        """Pack a micro-batch into a row per group with masks and positions.

        Raises:
            EngineError: a sequence is longer than the window of the model's attention; a shared row would be wrong.
        """
        assert self.kept is not None
        input_ids = micro_batch["input_ids"]
        prompt_lengths = micro_batch["prompts"].offsets().diff().tolist()
        rows = pack_shared_prefix(input_ids.unbind(), prompt_lengths)
        if self.window is not None and int(rows.position_ids.max()) >= self.window:
            raise EngineError(
                f"the model's attention sees {self.window} tokens, and a sequence has {int(rows.position_ids.max()) + 1}: "
                "the responses of a group cannot share a row"
            )
        temperature = micro_batch["temperature"]
        if isinstance(temperature, torch.Tensor):
            lengths = [
                size - prompt for size, prompt in zip(input_ids.offsets().diff().tolist(), prompt_lengths, strict=True)
            ]
            temperature = temperature.float().repeat_interleave(torch.tensor(lengths))[:, None]
        self.kept.positions = rows.logits_to_keep
        if self.router_load is not None:
            self.router_load.real = rows.real
        inputs = {
            "input_ids": rows.input_ids,
            "attention_mask": rows.attention_mask,
            "position_ids": rows.position_ids,
        }
        return inputs, {"rows": rows, "temperature": temperature}

    def prepare_model_outputs(
        self, output: Any, output_args: dict[str, Any], micro_batch: TensorDict, logits_processor_func: Any
    ) -> dict[str, torch.Tensor]:
        """Compute log-probabilities, and entropy where needed, as nested tensors.

        Their shape is (B, prompt + response).
        """
        rows: SharedRows = output_args["rows"]
        logits = output.logits.float() / output_args["temperature"]  # (R, vocabulary)
        log_probs_all = torch.log_softmax(logits, dim=-1)
        log_probs = log_probs_all.gather(-1, rows.labels[:, None]).squeeze(-1)
        offsets = micro_batch["input_ids"].offsets()
        outputs = {"log_probs": torch.nested.nested_tensor_from_jagged(spread(log_probs, rows), offsets)}
        if tu.get_non_tensor_data(data=micro_batch, key="calculate_entropy", default=False):
            # Without an entropy bonus its gradient is zero times something large: leave it out of the graph.
            with torch.set_grad_enabled(torch.is_grad_enabled() and _entropy_coefficient(logits_processor_func) != 0.0):
                entropy = -(log_probs_all.exp() * log_probs_all).sum(-1)
            outputs["entropy"] = torch.nested.nested_tensor_from_jagged(spread(entropy, rows), offsets)
        return outputs


def entropy_outside_graph(logits: torch.Tensor, temperature: torch.Tensor) -> torch.Tensor:
    """Return the entropy of each token's distribution (N), without a gradient and `ENTROPY_ROWS` tokens at a time.

    Args:
        logits: (N, vocabulary).
        temperature: (N).
    """
    with torch.no_grad():
        whole = logits.full_tensor() if isinstance(logits, DTensor) else logits
        found = []
        for rows, divisor in zip(whole.split(ENTROPY_ROWS), temperature.split(ENTROPY_ROWS), strict=True):
            log_probs = torch.log_softmax(rows.float() / divisor.float().clamp(min=1e-8)[:, None], dim=-1)
            found.append(-(log_probs.exp() * log_probs).sum(-1))
        return torch.cat(found)


def _entropy_coefficient(loss_function: Any) -> float:
    """Return the entropy bonus of verl's `partial(ppo_loss, config=...)`.

    0 for a pass without a loss.
    """
    config = getattr(loss_function, "keywords", {}).get("config")
    return float(getattr(config, "entropy_coeff", 0.0) or 0.0)


def _register(engine: type[FSDPEngineWithLMHead], device: str) -> None:
    """Put `engine` where verl looks it up for language models under FSDP.

    The keys are fsdp and fsdp2 on `device`.
    """
    for backend in ("fsdp", "fsdp2"):
        EngineRegistry._engines.setdefault("language_model", {}).setdefault(backend, {})[device] = engine


_register(InstrumentedFSDPEngine, "cuda")
_register(SharedPrefixEngine, "cpu")
