"""Pack a group into one row, so that its shared prompt is computed once.

GRPO trains on groups of n responses to the same prompt. With one sequence per response the prompt is computed n times,
and the language-model head is applied to prompt tokens whose log-probabilities are never read. Here a group becomes a
single row

    prompt | response 1 | response 2 | ... | response n

with an attention mask in which each response sees the prompt and itself, and with positions that restart after the
prompt in every response. The computation is exact: the same attention as with one sequence per response, in another order
of summation. Logits are computed for response tokens alone.

These are pure tensor functions without verl; `tests/integrations/test_shared_prefix.py` compares them with one sequence
per response.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class SharedRow:
    """A packed micro-batch of B sequences as one row of T tokens.

    Attributes:
        input_ids: (1, T) token ids.
        position_ids: (1, T) positions within each token's own sequence.
        attention_mask: (1, 1, T, T) boolean; True where the row's token may look at the column's.
        logits_to_keep: (R,) positions in the row whose logits predict the R response tokens, sequence after sequence.
        labels: (R,) the response tokens themselves.
        targets: (R,) where each response token's log-probability belongs in the packed (sum of sequence lengths,) vector. verl
            stores at position t the log-probability of token t + 1.
        total: sum of the sequence lengths.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    attention_mask: torch.Tensor
    logits_to_keep: torch.Tensor
    labels: torch.Tensor
    targets: torch.Tensor
    total: int


def pack_shared_prefix(sequences: Sequence[torch.Tensor], prompt_lengths: Sequence[int]) -> SharedRow:
    """Lay B sequences of token ids into one row where equal prompts appear once.

    Args:
        sequences: B one-dimensional integer tensors, prompt followed by response.
        prompt_lengths: B lengths of the prompts, each at least 1 (the first response token is predicted by a prompt token).

    Raises:
        ValueError: a prompt of length 0 or longer than its sequence.
    """
    segments: list[torch.Tensor] = []  # token ids in row order
    positions: list[torch.Tensor] = []
    owner: list[torch.Tensor] = []  # prompt number of every row token
    branch: list[torch.Tensor] = []  # 0 for a prompt token, 1 + sequence number for a response token
    # prompt tokens -> (prompt number, row position of its last token)
    prompt_end: dict[tuple[int, ...], tuple[int, int]] = {}
    keep: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    targets: list[torch.Tensor] = []
    cursor = offset = 0
    for number, (sequence, prompt_length) in enumerate(zip(sequences, prompt_lengths, strict=True)):
        length = int(sequence.numel())
        if not 0 < prompt_length <= length:
            raise ValueError(
                f"sequence {number} has {length} tokens and a prompt of {prompt_length}: 1 to {length} can be shared"
            )
        prompt, response = sequence[:prompt_length], sequence[prompt_length:]
        key = tuple(prompt.tolist())
        if key not in prompt_end:
            segments.append(prompt)
            positions.append(torch.arange(prompt_length))
            owner.append(torch.full((prompt_length,), len(prompt_end)))
            branch.append(torch.zeros(prompt_length, dtype=torch.long))
            cursor += prompt_length
            prompt_end[key] = (len(prompt_end), cursor - 1)
        prompt_number, last = prompt_end[key]
        size = int(response.numel())
        if size:
            segments.append(response)
            positions.append(torch.arange(prompt_length, length))
            owner.append(torch.full((size,), prompt_number))
            branch.append(torch.full((size,), number + 1))
            keep.append(torch.cat([torch.tensor([last]), torch.arange(cursor, cursor + size - 1)]))
            labels.append(response)
            targets.append(torch.arange(offset + prompt_length - 1, offset + length - 1))
            cursor += size
        offset += length
    row_owner, row_branch = torch.cat(owner), torch.cat(branch)
    causal = torch.ones(cursor, cursor, dtype=torch.bool).tril_()
    same_prompt = row_owner[:, None] == row_owner[None, :]
    visible = (row_branch[None, :] == 0) | (row_branch[:, None] == row_branch[None, :])
    empty = torch.empty(0, dtype=torch.long)
    return SharedRow(
        input_ids=torch.cat(segments)[None],
        position_ids=torch.cat(positions)[None],
        attention_mask=(causal & same_prompt & visible)[None, None],
        logits_to_keep=torch.cat(keep) if keep else empty,
        labels=torch.cat(labels) if labels else empty,
        targets=torch.cat(targets) if targets else empty,
        total=offset,
    )


def spread(values: torch.Tensor, row: SharedRow) -> torch.Tensor:
    """Put response values (R,) at their places in the packed (total,) vector.

    It is zero elsewhere and differentiable.
    """
    return values.new_zeros(row.total).index_copy(0, row.targets.to(values.device), values)
