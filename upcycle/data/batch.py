"""Packed sequences as the trainer takes them; this module needs torch alone, so a training step runs on a bare machine."""

from __future__ import annotations

from typing import NamedTuple

import torch

NO_LABEL = -100


class Batch(NamedTuple):
    """Packed sequences, all int64.

    Attributes:
        tokens: (B, S) token ids.
        labels: (B, S) next token; `NO_LABEL` at the end of a document.
        positions: (B, S) position of each token in its document.
        discipline: (B,) number of each sequence's discipline, -1 for general text.
    """

    tokens: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    discipline: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on another device."""
        return Batch(*(field.to(device, non_blocking=True) for field in self))
