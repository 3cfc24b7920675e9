"""Define the language model of the training format.

Attention, norms and rotary positions come from transformers' class of the base model's family, so a Llama-type base
model stays without biases and every attention kernel and packing rule of transformers applies. Only the feed-forward
block differs. Parameter names are listed in `upcycle.model.architecture`.
"""

import copy
from functools import partial
from typing import Any, NamedTuple

import torch
import transformers
from torch import nn

from upcycle.model.architecture import ModelSpec
from upcycle.model.moe_layers import MixtureBlock, Routing, feed_forward


class ModelOutput(NamedTuple):
    """Result of one forward pass.

    Attributes:
        hidden: (B, S, H) hidden states after the last norm.
        logits: (B, S, V) next-token logits, if they were asked for.
        routing: One entry per mixture layer.
    """

    hidden: torch.Tensor
    logits: torch.Tensor | None
    routing: list[Routing]


def family_config(spec: ModelSpec, attention: str = "sdpa") -> Any:
    """Build transformers' configuration object of the base model.

    Args:
        spec: The model's shape.
        attention: One of transformers' attention kernels.
    """
    settings = copy.deepcopy(spec.base_config)
    for key in ("model_type", "architectures", "dtype", "torch_dtype", "transformers_version"):
        settings.pop(key, None)
    config = transformers.AutoConfig.for_model(spec.family, **settings)
    config._attn_implementation = attention
    config.use_cache = False
    return config


def as_one_row(tokens: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    """Lay packed sequences end to end, with the limits of their documents.

    Flash attention takes a batch of several rows as so many whole sequences: only in one row does it stop at the documents.
    Given their limits, it need not look for them in every layer, which would make the host wait.

    Args:
        tokens: (B, S) token ids.
        positions: (B, S) positions, which start again at 0 with every document and every row.

    Returns:
        (1, B x S) tokens and positions, and the arguments with which transformers' attention takes the limits.
    """
    flat = positions.reshape(1, -1)
    starts = (flat[0] == 0).nonzero()[:, 0].to(torch.int32)
    limits = torch.cat([starts, starts.new_tensor([flat.shape[1]])])
    longest = positions.shape[1]
    arguments = {"cu_seq_lens_q": limits, "cu_seq_lens_k": limits, "max_length_q": longest, "max_length_k": longest}
    return tokens.reshape(1, -1), flat, arguments


def _forget(block: MixtureBlock, _gradient: torch.Tensor) -> None:
    """Drop the decision that recomputation left in a block, once the router's gradient is known.

    It holds everything that the layer computed before its router, so a backward pass would keep that of all layers.
    """
    block.routing = None


class InnovatorForCausalLM(nn.Module):
    """Causal language model of any of the three kinds.

    The constructor does not initialize the weights; load them.
    """

    def __init__(self, spec: ModelSpec, attention: str = "sdpa") -> None:
        super().__init__()
        self.spec, self.attention = spec, attention
        config = family_config(spec, attention)
        with torch.device("meta"):
            self.model = transformers.AutoModel.from_config(config)
        for layer in self.model.layers:
            layer.mlp = feed_forward(spec)
        self.lm_head = nn.Linear(spec.hidden, spec.vocabulary, bias=False)
        if torch.get_default_device().type != "meta":
            self._materialize(config)
        self._tie()
        if spec.kind == "induced":
            self.requires_grad_(False)
            for layer in self.model.layers:
                layer.mlp.expert.requires_grad_(True)

    def _materialize(self, config: Any) -> None:
        """Allocate what transformers built on the meta device.

        The rotary table is computed, not loaded.
        """
        device = torch.get_default_device()
        for module in self.model.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.is_meta:
                    setattr(module, name, nn.Parameter(torch.empty_like(parameter, device=device)))
        self.model.rotary_emb = type(self.model.rotary_emb)(config=config)

    def to_empty(self, *, device: Any, recurse: bool = True) -> "InnovatorForCausalLM":
        """Move to a device without copying, compute the tables and tie the head again.

        See `nn.Module.to_empty`.
        """
        super().to_empty(device=device, recurse=recurse)
        self.model.rotary_emb = type(self.model.rotary_emb)(config=self.model.config).to(device)
        if self.spec.kind == "mixture":
            self.set_routed_scale(self.spec.routed_weight)
        self._tie()
        return self

    def _tie(self) -> None:
        if self.spec.tied:
            self.lm_head.weight = self.model.embed_tokens.weight

    def blocks(self) -> list[MixtureBlock]:
        """Return the mixture layers, first to last; the other kinds have none."""
        return [layer.mlp for layer in self.model.layers if isinstance(layer.mlp, MixtureBlock)]

    def set_checkpointing(self, on: bool) -> None:
        """Switch activation recomputation in the backward pass on or off."""
        if on:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        else:
            self.model.gradient_checkpointing_disable()

    def set_gates_constant(self, on: bool) -> None:
        """Let the gates enter the sum without a gradient, or with one.

        Without it, a loss on the routers' logits needs no backward pass through the layers.
        """
        for block in self.blocks():
            block.gate.constant = on

    @torch.no_grad()
    def set_routed_scale(self, scale: float) -> None:
        """Set the factor on every layer's routed sum."""
        for block in self.blocks():
            block.routed_scale.fill_(scale)

    def forward(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        route: torch.Tensor | None = None,
        logits: bool = True,
    ) -> ModelOutput:
        """Compute hidden states, routing and next-token logits.

        Args:
            input_ids: (B, S) token ids.
            position_ids: (B, S) positions; without a mask, positions that restart at 0 separate packed documents.
            attention_mask: (B, S), 0 for padding; or (B, 1, S, S) as transformers takes it.
            route: (B,) or (B, S) discipline of each sequence or token, instead of the router's choice; -1: no expert.
            logits: Whether to apply the head; False leaves it to the caller (`model.lm_head(out.hidden[...])`).
        """
        blocks = self.blocks()
        oracle = None
        if route is not None:
            oracle = (route if route.dim() == 2 else route[:, None]).expand(input_ids.shape).reshape(-1)
        for block in blocks:
            block.oracle = oracle
        shape = input_ids.shape
        limits: dict[str, Any] = {}
        if self.attention == "flash_attention_2" and position_ids is not None and attention_mask is None:
            input_ids, position_ids, limits = as_one_row(input_ids, position_ids)
        hidden = self.model(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False, **limits
        ).last_hidden_state.view(*shape, -1)
        routing = [block.routing for block in blocks if block.routing is not None]
        for block, decision in zip(blocks, routing, strict=False):
            block.routing = None
            if decision.logits.requires_grad:
                decision.logits.register_hook(partial(_forget, block))
        return ModelOutput(hidden, self.lm_head(hidden) if logits else None, routing)
