"""A recipe repairs raw papers: changes are counted, builds are equal, the rubric sees the difference."""

import json
from pathlib import Path

import pytest
from raw_papers import DAMAGED_LATEX, HTML, two_column_paper

from innovator_rl.data.corpus.build import build_corpus
from innovator_rl.data.corpus.document import Document, read_part
from innovator_rl.data.corpus.manifest import CorpusManifest
from innovator_rl.data.corpus.recipe import CorpusRecipe, load_corpus_recipe
from innovator_rl.data.corpus.steps import CutDocuments, RepairFormulas
from innovator_rl.data.documents import model_repair
from innovator_rl.data.documents.windows import merge
from innovator_rl.data.quality.rubric import score_text

for package in ("pypandoc", "trafilatura", "pypdfium2", "docling", "wordfreq", "ftfy"):
    pytest.importorskip(package)

DAMAGED = (
    "A Journal 1\n\nDownloaded from https://example.org by guest\n\nThe rnass of a spring is srnall, and the energy\n"
    "$E = \\frac{1{2} k x^2$ of the sys-\fA Journal 2\n\ntem is conserved when the e\ufb03ciency of the rnotion is zero. "
    "The force is $\\vec{F} = -\\left( kx$ in this case, and it is large.\n\fA Journal 3\n\nAll of this is known to the reader."
)


def build(folder: Path, out: Path, **changes: object) -> tuple[CorpusManifest, dict[str, str]]:
    recipe = load_corpus_recipe(Path("configs/data/corpus-papers.yaml"))
    content = {**recipe.model_dump(), "sources": [{"name": "papers", "path": str(folder)}], **changes}
    manifest = build_corpus(CorpusRecipe.model_validate(content), out)
    parts = [read_part(out / "papers" / name) for name in manifest.documents]
    return manifest, {document.file: document.text for part in parts for document in part}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "a.html").write_text(HTML, encoding="utf-8")
    (folder / "b.tex").write_text(DAMAGED_LATEX)
    (folder / "c.pdf").write_bytes(two_column_paper())
    (folder / "d.txt").write_text(DAMAGED, encoding="utf-8")
    (folder / "e.pdf").write_bytes(b"no PDF")
    return folder


def test_raw_papers_become_clean_and_every_change_is_counted(raw: Path, tmp_path: Path) -> None:
    manifest, texts = build(raw, tmp_path / "out", error_budget=0.3)
    assert list(texts) == ["a.html", "b.tex", "c.pdf", "d.txt"]
    assert texts["d.txt"] == (
        "The mass of a spring is small, and the energy\n$E = \\frac{1}{2} k x^2$ of the system is conserved when the efficiency "
        "of the motion is zero. The force is $\\vec{F} = -\\left( kx\\right)$ in this case, and it is large.\n\n"
        "All of this is known to the reader.\n"
    )
    changed = {stage.name: stage.tally.changed for stage in manifest.stages}
    assert changed["repair_pages"] == {
        "page heads and numbers removed": 3,
        "page breaks removed": 2,
        "paragraphs joined": 1,
    }
    assert changed["repair_text"] == {"misread words": 3, "encoding": 1}
    assert changed["repair_formulas"]["formulas repaired by rules"] == 3
    assert changed["remove_irrelevant"] == {"download stamps removed": 1}
    assert manifest.error_reasons == {"not PDF": 1}
    card = (tmp_path / "out" / "papers" / "README.md").read_text()
    assert "formulas repaired by rules: 3" in card
    assert score_text(texts["d.txt"]).total > score_text(DAMAGED).total + 1


def test_two_builds_are_equal_and_a_third_runs_nothing(raw: Path, tmp_path: Path) -> None:
    one, other = (build(raw, tmp_path / name, error_budget=0.3)[0] for name in ("one", "other"))
    documents = [name for name in one.files if name.startswith("documents/")]
    assert one.files == other.files
    assert documents
    again, _ = build(raw, tmp_path / "one", error_budget=0.3)
    assert [stage.run for stage in again.stages] == [0] * len(again.stages)


def test_a_long_document_is_cut_and_its_parts_are_the_whole() -> None:
    step = CutDocuments(max_characters=100)
    text = "A sentence of the text. $x = 1$ is here. " * 20
    ((_, result),) = step.apply([Document(id="s/a#1", text=text)])
    assert result.document is not None
    parts = [result.document, *result.more]
    assert merge(part.text for part in parts) == text
    assert [part.id for part in parts][:2] == ["s/a#1@0", f"s/a#1@{len(parts[0].text)}"]
    assert max(len(part.text) for part in parts) <= 100
    ((_, kept),) = step.apply([Document(id="s/b#1", text="Short.")])
    assert kept.document == Document(id="s/b#1", text="Short.")


def test_a_recipe_with_windows_gives_more_documents(raw: Path, tmp_path: Path) -> None:
    steps = [{"step": "cut_documents", "max_characters": 200}]
    manifest, _ = build(raw, tmp_path / "out", steps=steps, error_budget=0.3)
    tally = manifest.stages[1].tally
    assert tally.documents_out == 4 + tally.changed["cuts"] > 8
    assert manifest.sources[0].documents == tally.documents_out


def test_a_model_repairs_what_rules_cannot_and_a_dead_endpoint_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai")
    document = Document(id="1", text="The ratio $\\frac{a}$ is wrong and $E = mc^2$ is right.")
    step = RepairFormulas.model_validate({"model": {"base_url": "http://127.0.0.1:9/v1", "name": "m", "timeout": 1}})
    monkeypatch.setattr(model_repair, "RETRIES", 0)
    ((_, result),) = step.apply([document])
    assert result.document == document
    assert result.changes["answers of the model refused"] == 1

    class Completions:
        def create(self, *, messages: list[dict[str, str]], **_: object) -> object:
            text = messages[-1]["content"].replace("\\frac{a}", "\\frac{a}{b}")
            return json.loads(json.dumps({"text": text}), object_hook=lambda d: type("Answer", (), {
                "choices": [type("Choice", (), {"message": type("Message", (), {"content": d["text"]})})]}))  # fmt: skip

    class Client:
        def __init__(self, **_: object) -> None:
            self.chat = type("Chat", (), {"completions": Completions()})

    monkeypatch.setattr("openai.OpenAI", Client)
    ((_, result),) = step.apply([document])
    assert result.document == Document(id="1", text=document.text.replace("\\frac{a}", "\\frac{a}{b}"))
    assert result.changes["formulas repaired by the model"] == 1
