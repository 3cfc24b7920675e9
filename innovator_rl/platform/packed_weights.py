"""Keep the weights of vLLM's CPU engine loadable after they were packed.

vLLM's CPU build multiplies with packed weights where it can (oneDNN for float32, and for bfloat16 with AVX-512 or
AMX; the SGL kernels for small AMX layers; a grouped layout for experts on every CPU). Packing happens once, after the
checkpoint is loaded, and is not meant to be repeated:

- a linear layer's `weight` is dropped after packing, so the next `load_weights` fails ("no attribute 'weight_loader'");
- an expert layer's `w13_weight` and `w2_weight` are replaced by the packed tensors, of the same shape: the next
  `load_weights` writes plain rows into them, which the kernel then reads as packed ones. Nothing fails, but the experts
  are scrambled.

Both are corrected in the same way: packed copies are renewed at every weight sync instead of being the only copy. The
parameter keeps the plain weights with its `weight_loader`, whatever multiplies keeps its packed copy next to it, and
`process_weights_after_loading`, which vLLM calls after loading and verl after each sync, packs again. The packing itself
is vLLM's own code, whichever kernel it picks. The price is memory: one more copy of every packed weight.

Embeddings are packed at their first product, because vLLM cannot know beforehand whether one is used as output layer:
an input embedding tied to `lm_head` is then packed once and not twice, and an untied one not at all.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch

from innovator_rl.platform.shims.base import require_parameters

_NAME = "packed_weights"


def install() -> None:
    """Put both corrections in place in this process.

    vLLM may load its plugins more than once.
    """
    _keep_linear_weights()
    _keep_expert_weights()


def _is_installed(function: Callable[..., Any]) -> bool:
    return getattr(function, "_keeps_weights_loadable", False)


def _mark_installed(function: Callable[..., Any]) -> Callable[..., Any]:
    function._keeps_weights_loadable = True  # type: ignore[attr-defined]
    return function


def _keep_linear_weights() -> None:
    """Pack linear layers and embeddings when vLLM requests it, and keep `weight`."""
    from vllm.model_executor.layers import utils
    from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding

    dispatch = utils.dispatch_cpu_unquantized_gemm
    if _is_installed(dispatch):
        return
    require_parameters(_NAME, dispatch, ("layer", "remove_weight"))

    def pack_at_first_product(layer: Any, *operands: Any) -> torch.Tensor:
        dispatch(layer, remove_weight=False)
        return layer.cpu_linear(*operands)

    @functools.wraps(dispatch)
    def dispatch_and_keep_weight(layer: Any, remove_weight: bool) -> None:
        is_embedding = isinstance(layer, VocabParallelEmbedding)
        if is_embedding:
            layer.cpu_linear = functools.partial(pack_at_first_product, layer)
        else:
            dispatch(layer, remove_weight=False)

    utils.dispatch_cpu_unquantized_gemm = _mark_installed(dispatch_and_keep_weight)


class _StagedExperts(torch.nn.Module):
    """A stand-in for an expert layer during packing.

    vLLM's packing may replace its two parameters; the layer keeps its own.
    """

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.__dict__["_layer"] = layer  # not a submodule: the layer is only read
        for name in ("w13_weight", "w2_weight"):
            plain = getattr(layer, name).data
            # Not `register_parameter`: it would find the name taken, by the layer behind `__getattr__`.
            self._parameters[name] = torch.nn.Parameter(plain, requires_grad=False)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_layer"], name)


def _keep_expert_weights() -> None:
    """Store packed tensors in the experts' kernel object and plain ones in the layer."""
    from vllm.model_executor.layers.fused_moe.experts.cpu_moe import CPUUnquantizedExperts
    from vllm.model_executor.layers.fused_moe.unquantized_fused_moe_method import UnquantizedFusedMoEMethod

    if _is_installed(CPUUnquantizedExperts.apply):
        return
    _pack_beside_the_layer(CPUUnquantizedExperts)
    _multiply_with_the_packed(CPUUnquantizedExperts)
    _pack_again_after_an_update(UnquantizedFusedMoEMethod)


def _pack_beside_the_layer(experts_class: Any) -> None:
    pack = experts_class.process_weights_after_loading
    require_parameters(_NAME, pack, ("layer",))

    @functools.wraps(pack)
    def pack_a_copy(self: Any, layer: torch.nn.Module) -> None:
        _require_unpadded_bias(self, layer)
        staged = _StagedExperts(layer)
        pack(self, staged)
        self.packed_weights = (staged.w13_weight, staged.w2_weight)

    experts_class.process_weights_after_loading = pack_a_copy


def _require_unpadded_bias(experts: Any, layer: torch.nn.Module) -> None:
    """Refuse an expert bias that vLLM pads in place, as no second load undoes it."""
    wanted = experts._padded_intermediate_size(experts.moe_config)
    size = experts.moe_config.intermediate_size_per_partition
    if hasattr(layer, "w13_bias") and wanted != size:
        raise ValueError(
            f"experts with a bias and an intermediate size of {size} cannot be updated on a CPU: vLLM pads the bias "
            f"to {wanted} in place; use an intermediate size divisible by {experts._intermediate_alignment()}"
        )


def _multiply_with_the_packed(experts_class: Any) -> None:
    """Replace the weights of a call by name: from vLLM 0.31 on, `output` comes before `hidden_states`."""
    multiply = experts_class.apply
    signature = inspect.signature(multiply)
    require_parameters(
        _NAME, multiply, ("output",) * ("output" in signature.parameters) + ("hidden_states", "w1", "w2")
    )

    @functools.wraps(multiply)
    def multiply_with_the_packed(*arguments: Any, **named: Any) -> Any:
        call = signature.bind(*arguments, **named)
        call.arguments["w1"], call.arguments["w2"] = call.arguments["self"].packed_weights
        return multiply(*call.args, **call.kwargs)

    experts_class.apply = _mark_installed(multiply_with_the_packed)


def _pack_again_after_an_update(method_class: Any) -> None:
    """Pack after every load; vLLM itself packs experts at the first load only."""
    process = method_class.process_weights_after_loading
    require_parameters(_NAME, process, ("layer",))

    @functools.wraps(process)
    def process_and_pack(self: Any, layer: torch.nn.Module) -> None:
        is_update = self.moe_kernel is not None
        process(self, layer)
        experts: Any = getattr(self.moe_kernel, "fused_experts", None)
        if is_update and hasattr(experts, "packed_weights"):
            experts.process_weights_after_loading(layer)

    method_class.process_weights_after_loading = process_and_pack
