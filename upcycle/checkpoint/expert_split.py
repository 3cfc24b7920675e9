"""Split coarse experts into fine ones (stage 2, equation 2), as a stream.

Slice j of a coarse expert of width I takes rows [j I/m, (j+1) I/m) of its gate and up projections and the same columns
of its down projection. A SwiGLU network is the sum of its slices, so with equal gates 1/m over a discipline's m experts
and the output scale m the split model equals the induced one. A factor inside the non-linearity could not be exact.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from upcycle.checkpoint.dtypes import Array, cast, from_float32
from upcycle.checkpoint.tensor_source import Entry, TensorSource, require
from upcycle.model.architecture import PROJECTIONS, ModelSpec, tensor_shapes


def expert_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Return name and shape of the tensors of one coarse expert."""
    h, f = spec.hidden, spec.intermediate
    swiglu = zip(PROJECTIONS, ((f, h), (f, h), (h, f)), strict=True)
    pairs = list(swiglu)
    return {_coarse(layer, name): shape for layer in range(spec.layers) for name, shape in pairs}


def _coarse(layer: int, projection: str) -> str:
    return f"model.layers.{layer}.mlp.expert.{projection}.weight"


def _dense(name: str) -> str:
    return name.replace(".mlp.shared_expert.", ".mlp.")


class SplitSource:
    """The mixture of a base model and one coarse expert per discipline.

    It has the training format.

    Each dense tensor keeps its own type, and fine experts keep that of the coarse matrices they are cut from: float32 where
    these differ. The router's initial weights are small normal numbers in the type of the embeddings, so that no two
    experts tie.
    """

    def __init__(
        self,
        spec: ModelSpec,
        base_model: TensorSource,
        coarse: Mapping[str, TensorSource],
        seed: int = 0,
        router_std: float = 1e-3,
    ) -> None:
        self.spec = spec.of_kind("mixture")
        self._base_model, self._seed, self._router_std = base_model, seed, router_std
        self._coarse = [coarse[name] for name in spec.disciplines]
        require(base_model, dict(tensor_shapes(spec.of_kind("dense"))), "base model")
        for name in spec.disciplines:
            require(coarse[name], expert_shapes(spec), f"expert of {name}")
        self.entries = {name: Entry(self._dtype(name), shape) for name, shape in tensor_shapes(self.spec)}
        # The m slices of a down projection are read one after another, all from one matrix.
        self._down = lru_cache(maxsize=1)(self._read_down)

    def _dtype(self, name: str) -> str:
        if name.endswith("mlp.routed_scale"):
            return "F32"
        if name.endswith("mlp.gate.weight"):
            return self._base_model.entries["model.embed_tokens.weight"].dtype
        if ".mlp.experts." in name:
            parts = ("down_proj",) if name.endswith("down_proj") else ("gate_proj", "up_proj")
            layer = int(name.split(".")[2])
            found = {source.entries[_coarse(layer, part)].dtype for source in self._coarse for part in parts}
            return found.pop() if len(found) == 1 else "F32"
        return self._base_model.entries[_dense(name)].dtype

    def rows(self, name: str, start: int, stop: int) -> Array:
        """Return rows of a tensor, (stop - start, width)."""
        layer = int(name.split(".")[2]) if name.startswith("model.layers.") else -1
        if name.endswith("mlp.routed_scale"):
            return np.full((1, 1), self.spec.routed_weight, np.float32)
        if name.endswith("mlp.gate.weight"):
            return self._router(layer)[start:stop]
        if name.endswith("experts.gate_up_proj"):
            return self._gate_up(name, layer, start, stop)
        if name.endswith("experts.down_proj"):
            return self._down_rows(layer, start, stop)
        return self._base_model.rows(_dense(name), start, stop)

    def _router(self, layer: int) -> Array:
        shape = (self.spec.slots, self.spec.hidden)
        values = np.random.default_rng([self._seed, layer]).standard_normal(shape, np.float32)
        dtype = self.entries[f"model.layers.{layer}.mlp.gate.weight"].dtype
        return from_float32(values * np.float32(self._router_std), dtype)

    def _coarse_rows(self, discipline: int, name: str, start: int, stop: int, dtype: str) -> Array:
        source = self._coarse[discipline]
        return cast(source.rows(name, start, stop), source.entries[name].dtype, dtype)

    def _gate_up(self, fused: str, layer: int, start: int, stop: int) -> Array:
        """Return rows of the fused (E, 2F, H).

        Each run of F rows is one slice of one coarse matrix.
        """
        fine, parts = self.spec.fine, []
        while start < stop:
            run, inside = divmod(start, fine)
            end = min(stop, (run + 1) * fine)
            discipline, j = divmod(run // 2, self.spec.split)
            first = j * fine + inside
            name, dtype = _coarse(layer, PROJECTIONS[run % 2]), self.entries[fused].dtype
            parts.append(self._coarse_rows(discipline, name, first, first + end - start, dtype))
            start = end
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _down_rows(self, layer: int, start: int, stop: int) -> Array:
        """Return rows of the fused (E, H, F): columns of a coarse matrix."""
        fine, hidden, parts = self.spec.fine, self.spec.hidden, []
        while start < stop:
            expert, first = divmod(start, hidden)
            end = min(stop, (expert + 1) * hidden)
            discipline, j = divmod(expert, self.spec.split)
            matrix = self._down(layer, discipline)
            parts.append(matrix[first : first + end - start, j * fine : (j + 1) * fine])
            start = end
        return np.ascontiguousarray(parts[0]) if len(parts) == 1 else np.concatenate(parts)

    def _read_down(self, layer: int, discipline: int) -> Array:
        dtype = self.entries[f"model.layers.{layer}.mlp.experts.down_proj"].dtype
        return self._coarse_rows(discipline, _coarse(layer, "down_proj"), 0, self.spec.hidden, dtype)
