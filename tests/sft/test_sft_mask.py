"""The loss is on the assistant's tokens alone; a validation takes every row, and a rank its own accelerator."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from omegaconf import OmegaConf

from innovator_rl import models
from innovator_rl.sft.rows import SCHEMA


@pytest.mark.parametrize("system", [False, True])
def test_what_is_learned_is_the_answer(tmp_path: Path, system: bool) -> None:
    from transformers import AutoTokenizer
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

    tokenizer = AutoTokenizer.from_pretrained(models.make("tiny-qwen2"))
    messages = [{"role": "system", "content": "Be short."}] if system else []
    messages += [
        {"role": "user", "content": "first?"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": "second?"},
        {"role": "assistant", "content": "two"},
    ]
    pq.write_table(pa.table({"messages": [messages]}, SCHEMA), tmp_path / "a.parquet")
    config = OmegaConf.create({"pad_mode": "no_padding", "max_length": 500, "truncation": "error"})
    item = MultiTurnSFTDataset([str(tmp_path / "a.parquet")], tokenizer, config)[0]
    learned = tokenizer.decode(item["input_ids"][item["loss_mask"].bool()])
    assert learned.replace("\n", "") == "one<|im_end|>two<|im_end|>"
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    assert tokenizer.decode(item["input_ids"]) == whole


@pytest.mark.parametrize(
    ("rows", "largest", "sizes"), [(100, 64, [50, 50]), (101, 64, [50, 51]), (64, 64, [64]), (3, 64, [3])]
)
def test_a_validation_takes_every_row_in_even_batches(rows: int, largest: int, sizes: list[int]) -> None:
    from innovator_rl.integrations.verl.sft_worker import even_batches

    batches = even_batches(range(rows), largest)
    assert [len(batch) for batch in batches] == sizes
    assert [row for batch in batches for row in batch] == list(range(rows))


def test_each_rank_takes_its_own_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    from innovator_rl.integrations.verl.sft_worker import take_device

    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setenv("LOCAL_RANK", "3")
    for chosen in ("cpu", "cuda"):
        monkeypatch.setenv("INNOVATOR_PLATFORM", chosen)
        take_device()
    assert taken == [3]
