"""Pack a group into one row, so that its shared prompt is computed once.

GRPO trains on groups of n responses to the same prompt. With one sequence per response the prompt is computed n times,
and the language-model head is applied to prompt tokens whose log-probabilities are never read. Here every group becomes
a row

    prompt | response 1 | response 2 | ... | response n | padding

with an attention mask in which each response sees the prompt and itself, and with positions that restart after the
prompt in every response. A micro-batch is G such rows, padded to the longest: attention then costs the sum of the
groups' squares, where one long row of all groups would cost the square of their sum. The computation is exact: the same
attention as with one sequence per response, in another order of summation. Logits are computed for response tokens alone.

These are pure tensor functions without verl; `tests/integrations/test_shared_prefix.py` compares them with one sequence
per response.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True)
class SharedRows:
    """A packed micro-batch of B sequences as G rows of L tokens, one row per distinct prompt.

    Attributes:
        input_ids: (G, L) token ids; padding is 0.
        position_ids: (G, L) positions within each token's own sequence.
        attention_mask: (G, 1, L, L) boolean; True where the row's token may look at the column's. A padding position sees
            itself alone, because a softmax over nothing is no number.
        real: (G, L) boolean; False at padding.
        logits_to_keep: (R,) flat positions in (G, L) whose logits predict the R response tokens, sequence after sequence.
        labels: (R,) the response tokens themselves.
        targets: (R,) where each response token's log-probability belongs in the packed (sum of sequence lengths,) vector. verl
            stores at position t the log-probability of token t + 1.
        total: sum of the sequence lengths.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    attention_mask: torch.Tensor
    real: torch.Tensor
    logits_to_keep: torch.Tensor
    labels: torch.Tensor
    targets: torch.Tensor
    total: int


@dataclass
class _Row:
    """A row while it grows: a prompt, then one branch per response."""

    tokens: list[torch.Tensor]
    positions: list[torch.Tensor]
    branches: list[int]  # length of the prompt, then of every response
    length: int
    keep: dict[int, torch.Tensor] = field(default_factory=dict)  # sequence number -> positions whose logits are read

    def add(self, number: int, prompt_length: int, response: torch.Tensor) -> None:
        """Append the response of sequence `number`."""
        size, start = int(response.numel()), self.length
        self.tokens.append(response)
        self.positions.append(torch.arange(prompt_length, prompt_length + size))
        self.branches.append(size)
        self.keep[number] = torch.cat([torch.tensor([prompt_length - 1]), torch.arange(start, start + size - 1)])
        self.length += size


def pack_shared_prefix(sequences: Sequence[torch.Tensor], prompt_lengths: Sequence[int]) -> SharedRows:
    """Lay B sequences of token ids into rows, one per distinct prompt.

    Args:
        sequences: B one-dimensional integer tensors, prompt followed by response.
        prompt_lengths: B lengths of the prompts, each at least 1 (the first response token is predicted by a prompt token).

    Raises:
        ValueError: a prompt of length 0 or longer than its sequence.
    """
    rows: dict[tuple[int, ...], _Row] = {}
    row_numbers: dict[tuple[int, ...], int] = {}
    read: list[tuple[tuple[int, ...], int]] = []  # (row, sequence number) of every sequence with a response
    labels: list[torch.Tensor] = []
    targets: list[torch.Tensor] = []
    offset = 0
    for number, (sequence, prompt_length) in enumerate(zip(sequences, prompt_lengths, strict=True)):
        length = int(sequence.numel())
        if not 0 < prompt_length <= length:
            raise ValueError(
                f"sequence {number} has {length} tokens and a prompt of {prompt_length}: 1 to {length} can be shared"
            )
        prompt, response = sequence[:prompt_length], sequence[prompt_length:]
        key = tuple(prompt.tolist())
        if key not in rows:
            row_numbers[key] = len(rows)
            rows[key] = _Row([prompt], [torch.arange(prompt_length)], [prompt_length], prompt_length)
        if length > prompt_length:
            rows[key].add(number, prompt_length, response)
            read.append((key, number))
            labels.append(response)
            targets.append(torch.arange(offset + prompt_length - 1, offset + length - 1))
        offset += length
    longest = max(row.length for row in rows.values())
    keep = [row_numbers[key] * longest + rows[key].keep[number] for key, number in read]
    empty = torch.empty(0, dtype=torch.long)
    return SharedRows(
        input_ids=pad_sequence([torch.cat(row.tokens) for row in rows.values()], batch_first=True),
        position_ids=pad_sequence([torch.cat(row.positions) for row in rows.values()], batch_first=True),
        attention_mask=torch.stack([_mask(row, longest) for row in rows.values()])[:, None],
        real=torch.arange(longest) < torch.tensor([row.length for row in rows.values()])[:, None],
        logits_to_keep=torch.cat(keep) if keep else empty,
        labels=torch.cat(labels) if labels else empty,
        targets=torch.cat(targets) if targets else empty,
        total=offset,
    )


def _mask(row: _Row, longest: int) -> torch.Tensor:
    """Return what each of `longest` positions sees, (longest, longest): its prompt and its own branch up to itself."""
    branch = torch.repeat_interleave(torch.arange(len(row.branches)), torch.tensor(row.branches))
    visible = (branch[None, :] == 0) | (branch[:, None] == branch[None, :])
    mask = torch.eye(longest, dtype=torch.bool)
    mask[: row.length, : row.length] = visible.tril_()
    return mask


def spread(values: torch.Tensor, rows: SharedRows) -> torch.Tensor:
    """Put response values (R,) at their places in the packed (total,) vector.

    It is zero elsewhere and differentiable.
    """
    return values.new_zeros(rows.total).index_copy(0, rows.targets.to(values.device), values)


class KeptPositions:
    """Apply a model's head to chosen positions of ragged rows alone.

    `logits_to_keep` of transformers chooses positions that all rows have in common; the positions of rows of different
    lengths are not. A hook on the head flattens its input (G, L, hidden) and takes the chosen ones, so that the model
    returns logits of shape (R, vocabulary).
    """

    def __init__(self, model: torch.nn.Module) -> None:
        head = model.get_output_embeddings()  # type: ignore[operator]
        if head is None:
            raise ValueError(f"{type(model).__name__} has no output embeddings: expected a causal language model")
        self.positions: torch.Tensor | None = None
        head.register_forward_pre_hook(self._choose)

    def _choose(self, _module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        if self.positions is None:
            return inputs
        hidden, *rest = inputs
        return (hidden.flatten(0, -2).index_select(0, self.positions), *rest)
