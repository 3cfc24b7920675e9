"""Token shards hold what the tokenizer gives, and training reads them in an order that no number of ranks changes."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl.data.corpus.build import build_corpus
from innovator_rl.data.corpus.document import read_part
from innovator_rl.data.corpus.recipe import CorpusRecipe
from innovator_rl.data.corpus.shards import Permutation, TokenCorpus, WindowReader
from innovator_rl.data.corpus.tokens import resolve_tokenizer
from innovator_rl.errors import StorageError, UserError


@given(st.integers(1, 3000), st.lists(st.integers(0, 2**64), max_size=3))
@settings(max_examples=60, deadline=None)
def test_a_permutation_visits_everything_once(size: int, key: list[int]) -> None:
    permutation = Permutation(size, *key)
    image = permutation(np.arange(size))
    assert sorted(image.tolist()) == list(range(size))
    assert permutation.inverse(image).tolist() == list(range(size))


def test_keys_and_sizes_give_unlike_permutations() -> None:
    numbers = np.arange(10_000)
    one, two = Permutation(10_000, 1, 0)(numbers), Permutation(10_000, 1, 1)(numbers)
    assert (one == two).mean() < 0.01
    assert (one == numbers).mean() < 0.01
    assert abs(np.corrcoef(one, numbers)[0, 1]) < 0.05
    # Neighbors end far apart: their mean distance is that of independent draws, a third of the size.
    assert np.abs(np.diff(one)).mean() == pytest.approx(10_000 / 3, rel=0.05)


def test_a_permutation_of_many_numbers_needs_no_table() -> None:
    permutation = Permutation(2**40 + 7, 5)
    numbers = np.array([0, 1, 2**40, 2**40 + 6])
    assert permutation.inverse(permutation(numbers)).tolist() == numbers.tolist()
    with pytest.raises(ValueError, match="must be in"):
        permutation(2**40 + 7)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    for name, count in (("physics", 40), ("law", 9)):
        rows = [{"text": f"{name} document {i} " + "with some words " * (i % 7)} for i in range(count)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "name": "tokens",
        "sources": [
            {"name": name, "path": str(folder / f"{name}.jsonl"), "discipline": name} for name in ("physics", "law")
        ],
        "steps": [],
        "outputs": {"tokens": {"tokenizer": "tiny-qwen2", "shard_bytes": 600}},
    }
    build_corpus(CorpusRecipe.model_validate(recipe), folder)
    return folder / "tokens"


def test_shards_hold_the_tokens_of_the_documents(corpus: Path) -> None:
    from tokenizers import Tokenizer

    tokens = TokenCorpus.open(corpus)
    assert len(tokens.shards) > 4
    assert max(shard.tokens for shard in tokens.shards) * tokens.dtype.itemsize <= 600
    recipe = CorpusRecipe.model_validate(json.loads((corpus / "manifest.json").read_text())["recipe"])
    assert recipe.outputs.tokens is not None
    encoder = Tokenizer.from_file(str(resolve_tokenizer(recipe.outputs.tokens).file))
    names = json.loads((corpus / "manifest.json").read_text())["documents"]
    expected, places = [], []
    for name in names:
        for document in read_part(corpus / name):
            ids = [*encoder.encode(document.text, add_special_tokens=False).ids, tokens.end_token]
            expected += ids
            places += range(len(ids))
    assert tokens.read(0, len(tokens)).tolist() == expected
    assert tokens.positions(0, len(tokens)).tolist() == places
    assert tokens.read(37, 911).tolist() == expected[37:911]
    assert tokens.positions(37, 911).tolist() == places[37:911]
    assert tokens.documents == 49


def test_batches_are_the_same_on_any_number_of_ranks(corpus: Path) -> None:
    tokens = TokenCorpus.open(corpus, ["physics"])
    whole = WindowReader(tokens, length=16, seed=3)
    steps = range(2 * whole.windows // 4 + 1)
    for step in steps:
        batch = whole.batch(step, 4)
        for ranks in (2, 4):
            # A new reader per step: its whole state is the number of the step.
            parts = [WindowReader(tokens, 16, seed=3).batch(step, 4, rank, ranks) for rank in range(ranks)]
            assert np.array_equal(np.concatenate(parts), batch)
    epochs = [[whole.window_number(e * whole.windows + i) for i in range(whole.windows)] for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(whole.windows))
    assert epochs[0] != epochs[1]


def test_mistakes_and_damage(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown discipline 'math'; expected one of physics, law"):
        TokenCorpus.open(corpus, ["math"])
    with pytest.raises(UserError, match="a window needs"):
        WindowReader(TokenCorpus.open(corpus, ["law"]), 10**6)
    with pytest.raises(ValueError, match="multiple of ranks"):
        WindowReader(TokenCorpus.open(corpus), 16).batch(0, 3, 0, 2)
    with pytest.raises(UserError, match="is not found"):
        TokenCorpus.open(tmp_path)
    manifest = json.loads((corpus / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "tokens").mkdir()
    (tmp_path / manifest["tokens"]["shards"][0]["file"]).write_bytes(b"12")
    with pytest.raises(StorageError, match="has 2 bytes, expected"):
        TokenCorpus.open(tmp_path)
