"""Read what a plan needs of a model from its config.json: sizes in elements, no torch, no weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from innovator_rl.errors import UserError
from innovator_rl.models.inspect import from_config


@dataclass(frozen=True)
class Shape:
    """The sizes of a model whose layers are all alike.

    Attributes:
        total: Parameters in all.
        active: Parameters that multiply one token.
        largest_layer: Parameters of one layer.
        intermediate: Width of the dense or shared feed-forward block; 0 where there is none.
        expert_width: Width of one expert; 0 without experts.
    """

    family: str
    total: int
    active: int
    largest_layer: int
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool
    intermediate: int
    experts: int = 0
    top_k: int = 0
    expert_width: int = 0

    @staticmethod
    def read(config: dict[str, Any], name: str = "the model") -> Shape:
        """Read the content of a config.json.

        Args:
            config: The content.
            name: What to call the model in messages.

        Raises:
            UserError: The family's parameters cannot be counted.
        """
        info = from_config(config, name)
        if info.params_total is None or info.params_active is None:
            raise UserError(
                f"{name}: the parameters of a {info.model_type!r} model cannot be counted; expected a Llama or Qwen family"
            )
        outside = info.vocab * info.hidden * (1 if info.tied else 2) + info.hidden
        mixture = info.experts > 0
        shared = int(config.get("shared_expert_intermediate_size") or 0)
        expert = int(config.get("moe_intermediate_size") or config.get("intermediate_size") or 0) if mixture else 0
        return Shape(
            family=info.model_type,
            total=info.params_total,
            active=info.params_active,
            largest_layer=-(-(info.params_total - outside) // info.layers),
            layers=info.layers,
            hidden=info.hidden,
            heads=info.heads,
            kv_heads=info.kv_heads,
            head_dim=info.head_dim,
            vocab=info.vocab,
            tied=info.tied,
            intermediate=shared if mixture else int(config["intermediate_size"]),
            experts=info.experts,
            top_k=info.top_k,
            expert_width=expert,
        )

    @staticmethod
    def of_file(path: Path) -> Shape:
        """Read a config.json, or the one in a folder.

        Raises:
            UserError: It cannot be read.
        """
        file = path / "config.json" if path.is_dir() else path
        try:
            return Shape.read(json.loads(file.read_text(encoding="utf-8")), str(path))
        except (OSError, ValueError) as error:
            raise UserError(f"{file} cannot be read as a model's config.json: {error}") from error
