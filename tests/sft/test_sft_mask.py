"""The loss is on the assistant's tokens alone, with verl's own data set and the shipped chat templates."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
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
