"""Shard a model over a mesh of ranks: FSDP2 with replicas (HSDP) and expert parallelism.

The mesh is that of `upcycle.model.layout`. The expert axis cuts the experts' first dimension by torch's DTensor, and
FSDP2 cuts what is left of them over the shard axis. Every other tensor is cut over shard and expert axis together.
Gradients are summed over ranks and never averaged, because each rank's loss is a share of the global one.

    layout = Layout.of(config.trainer, ranks, spec.experts)
    shard(model, config.trainer, layout, device="cuda")
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Shard

from upcycle.config.stages import TrainerConfig
from upcycle.model.layout import EXPERTS, Layout, shard_dimension
from upcycle.model.moe_layers import FineExperts, MixtureBlock


def shard(model: nn.Module, config: TrainerConfig, layout: Layout, device: str) -> nn.Module:
    """Shard the model over the ranks with FSDP2, layer by layer.

    A single rank that computes in float32 without offloading needs no sharding; the model is then returned as it is.

    Args:
        model: The model, on the meta device.
        config: Type of the computation, offloading, compilation.
        layout: Sizes of the mesh.
        device: Type of the ranks' devices.
    """
    layers = list(model.model.layers)  # type: ignore[union-attr, arg-type]
    if config.compile:
        for layer in layers:
            layer.compile()
    if layout.ranks == 1 and config.dtype == "float32" and not config.cpu_offload:
        return model
    policy: dict[str, Any] = {
        "mp_policy": MixedPrecisionPolicy(param_dtype=getattr(torch, config.dtype), reduce_dtype=torch.float32)
    }
    if config.cpu_offload:
        policy["offload_policy"] = CPUOffloadPolicy(pin_memory=device != "cpu")
    fully_shard_model(model, layers, layout, device, policy)
    for layer in layers:
        if isinstance(layer.mlp, MixtureBlock):
            layer.mlp.experts.capacity = config.expert_capacity
    return model


def fully_shard_model(
    model: nn.Module, layers: list[Any], layout: Layout, device: str, policy: dict[str, Any] | None = None
) -> None:
    """Apply FSDP2 with a layout; `plan --meta` calls this on ranks that do not exist."""
    policy = policy or {}
    dense, expert = _meshes(layout, device)

    def placement(parameter: nn.Parameter) -> Shard:
        return Shard(shard_dimension(tuple(parameter.shape), layout.dense))

    groups: list[list[Any]] = []
    for layer in layers:
        group = [layer]
        if expert is not None and isinstance(layer.mlp, MixtureBlock):
            _cut_experts(layer.mlp.experts, expert, layout, policy)
            group.append(layer.mlp.experts)
        fully_shard(layer, mesh=dense, shard_placement_fn=placement, **policy)
        groups.append(group)
    fully_shard(model, mesh=dense, shard_placement_fn=placement, **policy)
    for module in (model, *(module for group in groups for module in group)):
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)
    for before, after in pairwise(groups):  # gather the next layer while this one computes, on both ways
        before[0].set_modules_to_forward_prefetch(after)
        after[0].set_modules_to_backward_prefetch(before)


def _meshes(layout: Layout, device: str) -> tuple[DeviceMesh, DeviceMesh | None]:
    """Return the mesh of the dense tensors, and that of all three axes where there is an expert axis."""
    if layout.replicas == 1:
        dense = init_device_mesh(device, (layout.dense,))
    else:
        dense = init_device_mesh(device, (layout.replicas, layout.dense), mesh_dim_names=("replicate", "shard"))
    if layout.experts == 1:
        return dense, None
    names = ("replicate", "shard", "expert")
    sizes = (layout.replicas, layout.shards, layout.experts)
    return dense, init_device_mesh(device, sizes, mesh_dim_names=names)


def _cut_experts(experts: FineExperts, mesh: DeviceMesh, layout: Layout, policy: dict[str, Any]) -> None:
    for name, parameter in list(experts.named_parameters(recurse=False)):
        own = torch.empty(len(parameter) // layout.experts, *parameter.shape[1:], device="meta")
        cut = DTensor.from_local(own, mesh["expert"], [Shard(0)], run_check=False)
        setattr(experts, name, nn.Parameter(cut, requires_grad=parameter.requires_grad))
    experts.group = mesh["expert"].get_group()

    def placement(parameter: nn.Parameter) -> Shard:
        return Shard(layout.dimension(EXPERTS, tuple(parameter.shape)))

    over = mesh["replicate", "shard"] if layout.replicas > 1 else mesh["shard"]
    fully_shard(experts, mesh=over, shard_placement_fn=placement, **policy)


def by_mesh(parameters: Iterable[torch.Tensor]) -> list[list[torch.Tensor]]:
    """Group tensors by the mesh over which they are sharded, in their order."""
    groups: dict[Any, list[torch.Tensor]] = {}
    for parameter in parameters:
        groups.setdefault(parameter.device_mesh if isinstance(parameter, DTensor) else None, []).append(parameter)
    return list(groups.values())


def clip_gradients(parameters: Iterable[nn.Parameter], largest: float) -> torch.Tensor:
    """Clip the gradients of all parameters by their common norm.

    Returns:
        () norm before clipping, over all ranks.
    """
    groups = by_mesh(parameter for parameter in parameters if parameter.grad is not None)
    norms = [_whole(nn.utils.get_total_norm([p.grad for p in group if p.grad is not None])) for group in groups]
    norm = norms[0] if len(norms) == 1 else torch.stack(norms).norm()
    for group in groups:
        nn.utils.clip_grads_with_norm_(group, largest, norm)
    return norm


def _whole(norm: torch.Tensor) -> torch.Tensor:
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
