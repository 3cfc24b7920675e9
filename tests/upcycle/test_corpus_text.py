"""A built corpus as the text of a run: which documents are held out, what is refused, and what `data plan` counts."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innovator_rl.cli.main import main
from innovator_rl.data.corpus.build import build_corpus
from innovator_rl.data.corpus.recipe import CorpusRecipe
from innovator_rl.data.corpus.shards import TokenCorpus
from innovator_rl.errors import UserError
from innovator_rl.models import make
from upcycle.config.stages import DataConfig, TextSource
from upcycle.data.loading import Ahead
from upcycle.data.packing import NO_LABEL, Corpora, open_corpora
from upcycle.data.tokens import check_text, tokenize
from upcycle.data.windows import documents_of, open_table, split_documents, write_table

END = 258


def build(folder: Path, end_token: str = "<|im_end|>", rows: int = 300) -> Path:
    for name in ("physics", "law"):
        lines = [{"text": f"{name} document {i} " + "with words " * (i % 9)} for i in range(rows)]
        lines += lines[:5]  # equal documents
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    recipe = {
        "name": "made",
        "sources": [{"name": n, "path": str(folder / f"{n}.jsonl"), "discipline": n} for n in ("physics", "law")],
        "steps": [],
        "outputs": {"tokens": {"tokenizer": "tiny-qwen2", "end_token": end_token, "shard_bytes": 3000}},
    }
    build_corpus(CorpusRecipe.model_validate(recipe), folder)
    return folder / "made"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("corpus"))


def tokenizer() -> object:
    import transformers

    return transformers.AutoTokenizer.from_pretrained(make("tiny-qwen2"))


def opened(corpus: Path, folder: Path, **data: object) -> dict[str, Corpora]:
    sources = {"physics": (TextSource(corpus=str(corpus)),), "rights": (TextSource(corpus=str(corpus), label="law"),)}
    tokenize(sources, tokenizer(), folder, 0.2, 0)
    return open_corpora(sources, tokenizer(), folder, DataConfig(sequence_length=128, held_out=0.2, **data))  # type: ignore[arg-type]


@pytest.mark.parametrize("packing", ["stream", "documents"])
def test_every_document_of_a_corpus_is_in_one_split(corpus: Path, packing: str, tmp_path: Path) -> None:
    parts = opened(corpus, tmp_path, packing=packing)
    found = {}
    for split, corpora in parts.items():
        batch = corpora.batch([("physics", i) for i in range(corpora.size("physics"))], {"physics": 0, "rights": 1})
        text = bytes(10 if t == END else t for t in batch.tokens.flatten().tolist()).decode()
        found[split] = {line for line in text.split("\n") if line.startswith("physics document")}
    assert len(found["train"]) > 2.5 * len(found["held_out"]) > 50
    whole = packing == "documents"
    assert not (found["train"] & found["held_out"]) or not whole
    if whole:
        assert len(found["train"] | found["held_out"]) == 300, "no document of under a window is cut"


def test_equal_documents_are_in_the_same_split(corpus: Path) -> None:
    tokens = TokenCorpus.open(corpus, ["physics"])
    kept: dict[str, set[tuple[int, ...]]] = {}
    for split in ("train", "held_out"):
        pairs = [
            (a, n)
            for starts, lengths in split_documents(tokens, 0.3, 0, split)
            for a, n in zip(starts, lengths, strict=True)
        ]
        kept[split] = {tuple(tokens.read(int(a), int(a + n)).tolist()) for a, n in pairs}
    assert not kept["train"] & kept["held_out"]
    assert len(kept["train"] | kept["held_out"]) == 300
    other = [len(s) for s, _ in split_documents(tokens, 0.3, 1, "held_out")]
    assert sum(other) != 0


def test_what_does_not_fit_a_corpus_is_said(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no tokens of 'alchemy'; set `label` to one of"):
        check_text("alchemy", [TextSource(corpus=str(corpus))])
    with pytest.raises(ValueError, match="must have `paths`"):
        TextSource(corpus=str(corpus), paths=("a.txt",))
    with pytest.raises(UserError, match="was tokenized with 'tiny-qwen2'"):
        opened(build(tmp_path, "<|endoftext|>", 5), tmp_path / "data")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=80), st.integers(1, 40), st.integers(1, 30))
def test_tables_hold_every_token_once(tmp_path_factory: object, lengths: list[int], length: int, cut: int) -> None:
    folder: Path = tmp_path_factory.mktemp("tables")  # type: ignore[attr-defined]
    sizes = np.asarray(lengths, np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    groups = [(starts[i : i + cut], sizes[i : i + cut]) for i in range(0, len(sizes), cut)]
    for packing in ("stream", "documents"):
        write_table(iter(groups), folder / packing, length, packing)  # type: ignore[arg-type]
        table = open_table(folder / packing, length)
        windows = [table.window(i) for i in range(len(table))]
        used = [p for w in windows for s, n in w.tolist() for p in range(s, s + n)]
        assert len(used) == len(set(used))
        assert all(int(w["length"].sum()) <= length for w in windows)
        if packing == "documents":
            assert sorted(used) == list(range(sum(lengths)))
            short = {(int(s), int(n)) for s, n in zip(starts, sizes, strict=True) if n <= length}
            assert short <= {(s, n) for w in windows for s, n in w.tolist()}, "none of them is cut"
        else:
            assert used == list(range(sum(lengths) // length * length))
            assert all(int(w["length"].sum()) == length for w in windows)


def test_best_fit_wastes_little(tmp_path: Path) -> None:
    sizes = np.random.default_rng(0).lognormal(8, 1, 3000).astype(np.int64).clip(50, 40_000)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    write_table(iter([(starts, sizes)]), tmp_path / "t", 4096, "documents")
    table = open_table(tmp_path / "t", 4096)
    assert table.tokens / (len(table) * 4096) > 0.995


def test_loading_ahead_gives_the_same_batches_and_raises_in_the_step_that_needs_them(
    corpus: Path, tmp_path: Path
) -> None:
    train = opened(corpus, tmp_path)["train"]

    def load(step: int) -> list[object]:
        if step == 3:
            raise UserError("disk gone")
        return [train.batch([("physics", step), ("rights", step)], {"physics": 0, "rights": 1})]

    ahead = Ahead(load, 5)  # type: ignore[arg-type]
    for step in (0, 1, 2, 1):
        ours, theirs = ahead(step)[0], load(step)[0]
        assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))  # type: ignore[call-overload]
    assert (train.batch([("physics", 0)], {"physics": 0}).labels == NO_LABEL).any()
    ahead(2)
    with pytest.raises(UserError, match="disk gone"):
        ahead(3)


def test_the_text_of_a_run_is_planned(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file.txt").write_text("a file with words " * 200)
    config = tmp_path / "c.yaml"
    config.write_text(
        f"base_model: tiny-qwen2\ndata: {{sequence_length: 64, packing: documents}}\ndisciplines:\n"
        f"  physics: [{{corpus: {corpus}}}]\n  law: [{{corpus: {corpus}}}, {{paths: [{tmp_path}/file.txt]}}]\n"
        f"general: [{tmp_path}/file.txt]\n"
    )
    with suppress(SystemExit):
        main(["data", "plan", str(config), "--json"])
    physics, law, general = json.loads(capsys.readouterr().out)["text"]
    tokens = TokenCorpus.open(corpus, ["physics"])
    assert (physics["tokens"], physics["documents"]) == (len(tokens), 305)
    assert general["tokens"] == len("a file with words " * 200)
    assert law["tokens"] == len(TokenCorpus.open(corpus, ["law"])) + general["tokens"]
    assert physics["exact"]
    assert 0.8 < physics["fill"] <= 1
    assert physics["windows"] == pytest.approx(len(tokens) / 64 / physics["fill"], abs=1)
    assert sum(len(s) for s, _ in documents_of(tokens)) == 305
    with suppress(SystemExit):
        main(["data", "plan", str(config)])
    assert f"physics: {len(tokens):,} tokens in 305 documents" in capsys.readouterr().out
