"""Describe the GPUs of a plan: memory, speed and the network between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches

from innovator_rl.errors import UserError

GIB = 2**30


@dataclass(frozen=True)
class Hardware:
    """GPUs of one kind in nodes of `per_node`.

    Attributes:
        name: The kind.
        memory: Bytes that a program may use on one GPU.
        tflops: Peak of dense bfloat16 products, in 10^12 operations per second.
        memory_tb_s: Bandwidth of its memory, in 10^12 bytes per second.
        inside_gb_s: Bandwidth per GPU and direction between the GPUs of a node, in 10^9 bytes per second.
        between_gb_s: The same between nodes.
        gpus: Their number.
        per_node: GPUs of a node.
        host_memory: Bytes of main memory of a node.
    """

    name: str
    memory: int
    tflops: float
    memory_tb_s: float
    inside_gb_s: float
    between_gb_s: float = 50.0
    gpus: int = 8
    per_node: int = 8
    host_memory: int = 2048 * GIB

    @property
    def nodes(self) -> int:
        """Machines."""
        return -(-self.gpus // self.per_node)

    @staticmethod
    def named(name: str, gpus: int = 8, per_node: int = 8) -> Hardware:
        """Return a known kind.

        Args:
            name: One of `KINDS`.
            gpus: Number of GPUs in all.
            per_node: GPUs of a node.

        Raises:
            UserError: The kind is unknown, or the GPUs do not fill their nodes.
        """
        kind = KINDS.get(name.lower())
        if kind is None:
            near = get_close_matches(name.lower(), KINDS, 1)
            hint = f"did you mean {near[0]}?" if near else f"expected {', '.join(KINDS)}"
            raise UserError(f"--gpu {name!r} is unknown: {hint}")
        per_node = min(per_node, gpus)
        if gpus < 1 or gpus % per_node:
            raise UserError(f"--gpus {gpus} must be a multiple of the {per_node} GPUs of a node")
        return replace(kind, gpus=gpus, per_node=per_node)


KINDS = {
    "a100-40": Hardware("A100 40 GB", 39 * GIB, 312.0, 1.56, 300.0, 25.0),
    "a100-80": Hardware("A100 80 GB", 79 * GIB, 312.0, 2.04, 300.0, 25.0),
    "h100-80": Hardware("H100 80 GB", 79 * GIB, 989.0, 3.35, 450.0),
    "h200": Hardware("H200 141 GB", 139 * GIB, 989.0, 4.8, 450.0),
    "b200": Hardware("B200 180 GB", 178 * GIB, 2250.0, 7.7, 900.0),
}
"""NVIDIA's data sheets: peak of dense bfloat16, memory bandwidth, NVLink per direction; 400 Gb/s per GPU between nodes
(200 Gb/s for the A100)."""
