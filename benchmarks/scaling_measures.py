"""Measure the models of `benchmarks.upcycle_scaling`: loss by sequence, small tasks; and read and widen what they start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from upcycle.data.packing import NO_LABEL
from upcycle.training.losses import cross_entropy

CONTEXT, CONTINUATION, CANDIDATES = 64, 32, 4  # tokens, tokens and endings of a task


def sequence_losses(model: Any, corpora: Any, name: str, indices: list[int]) -> list[float]:
    """Return a model's mean loss in nats per token on each of some sequences of a text."""
    import torch

    found: list[float] = []
    model.eval()
    for start in range(0, len(indices), 4):
        batch = corpora.batch([(name, index) for index in indices[start : start + 4]], {name: 0})
        with torch.no_grad():
            out = model(batch.tokens, position_ids=batch.positions, logits=False)
            total = cross_entropy(model.lm_head, out.hidden, batch.labels).sum(1)
        found += (total / (batch.labels != NO_LABEL).sum(1).clamp(min=1)).tolist()
    return found


def solved(model: Any, corpora: Any, name: str, items: int) -> float:
    """Return the share of small tasks that a model solves: which of four endings continues a held-out passage.

    The wrong endings come from other passages of the same text; the ending with the highest log-probability is chosen.
    """
    import torch

    count = min(items, corpora.size(name))
    batch = corpora.batch([(name, index) for index in range(count)], {name: 0})
    whole = CONTEXT + CONTINUATION
    inside = (batch.positions[:, 1:whole] > 0).all(1)  # no document begins within
    passages = batch.tokens[inside][:, :whole]
    right = 0
    model.eval()
    for number in range(len(passages)):
        others = [(number + step) % len(passages) for step in range(1, CANDIDATES)]
        endings = passages[[number, *others], CONTEXT:]
        rows = torch.cat([passages[number, :CONTEXT].expand(CANDIDATES, -1), endings], 1)
        with torch.no_grad():
            logits = model(rows, position_ids=torch.arange(whole).expand(CANDIDATES, -1)).logits
        log_p = logits[:, CONTEXT - 1 : -1].float().log_softmax(-1).gather(2, endings[..., None])[..., 0].sum(1)
        right += int(log_p.argmax() == 0)
    return right / max(1, len(passages))


def doubled(value: Any, down: bool) -> Any:
    """Return a matrix with twice the width: new channels as the old ones shuffled, whose outputs have no weight."""
    import torch

    if down:
        return torch.cat([value, torch.zeros_like(value)], 1)
    order = torch.randperm(len(value), generator=torch.Generator().manual_seed(0))
    return torch.cat([value, value[order]], 0)


def documents(folder: Path) -> Any:
    """Yield the text of a corpus, one in four: enough for a tokenizer."""
    import pyarrow.parquet as pq

    for file in sorted((folder / "documents").glob("*.parquet")):
        yield from pq.read_table(file, columns=["text"])["text"].to_pylist()[::4]
