"""A corpus is built once, rebuilt only where something changed, and survives a kill at any moment."""

import errno
import fcntl
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from innovator_rl.data.corpus.build import build_corpus
from innovator_rl.data.corpus.check import check_corpus
from innovator_rl.data.corpus.document import read_part
from innovator_rl.data.corpus.executor import LocalExecutor, RayExecutor
from innovator_rl.data.corpus.manifest import CorpusManifest
from innovator_rl.data.corpus.optional import require
from innovator_rl.data.corpus.progress import Progress
from innovator_rl.data.corpus.publish import publish_file
from innovator_rl.data.corpus.recipe import CorpusRecipe
from innovator_rl.data.corpus.shards import TokenCorpus
from innovator_rl.errors import UserError

STEPS = [
    {"step": "drop_short", "min_words": 5},
    {"step": "drop_duplicates"},
    {"step": "drop_duplicate_paragraphs", "min_words": 4},
]


def write_rows(path: Path, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows), encoding="utf-8")


def sentence(number: int) -> str:
    return f"Sample number {number} has a mass of {number * 3} grams and a charge of {number} units."


def recipe(folder: Path, **changes: object) -> CorpusRecipe:
    content = {
        "name": "small",
        "license": "CC0",
        "sources": [
            {"name": "a", "path": str(folder / "a"), "discipline": "physics", "language": "en"},
            {"name": "b", "path": str(folder / "b"), "discipline": "chemistry", "language": "en"},
        ],
        "steps": STEPS,
        "outputs": {"tokens": {"tokenizer": "tiny-qwen2"}},
        "task_bytes": 500,
    }
    return CorpusRecipe.model_validate({**content, **changes})


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Four files: 24 distinct documents, one copy, one short one, and one with a copied paragraph."""
    for number in range(3):
        write_rows(tmp_path / "a" / f"{number}.jsonl", [sentence(8 * number + i) for i in range(8)])
    copied = sentence(3) + "\n\nA paragraph that occurs nowhere else in this corpus."
    write_rows(tmp_path / "b" / "0.jsonl", [sentence(1), "Too short.", copied])
    return tmp_path


def published(folder: Path) -> dict[str, bytes]:
    """Every published file but the manifest, whose seconds differ."""
    hidden = {".store", ".lock", "manifest.json"}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not hidden & set(path.relative_to(folder).parts)
    }


def ran(manifest: CorpusManifest) -> dict[str, int]:
    return {stage.name: stage.run for stage in manifest.stages}


def test_counts_and_outputs(raw: Path) -> None:
    manifest = build_corpus(recipe(raw), raw / "out")
    by_stage = {stage.name: stage.tally for stage in manifest.stages}
    assert by_stage["read"].documents_out == 27
    assert by_stage["drop_short"].dropped["under 5 words"].documents == 1
    assert by_stage["drop_duplicates"].dropped["duplicate document"].documents == 1
    paragraph = by_stage["drop_duplicate_paragraphs"].dropped["duplicate paragraph"]
    assert (paragraph.documents, paragraph.passages) == (0, 1)
    folder = raw / "out" / "small"
    documents = [d for name in manifest.documents for d in read_part(folder / name)]
    assert len(documents) == 25
    assert documents[-1].text == "A paragraph that occurs nowhere else in this corpus."
    assert documents[-1].id == "b/0.jsonl#3"
    assert (documents[-1].discipline, documents[-1].license) == ("chemistry", "")
    assert check_corpus(folder)[1] == []
    card = (folder / "README.md").read_text()
    assert "25 documents" in card
    assert card.count("characters)") == 3
    corpus = TokenCorpus.open(folder, ["chemistry"])
    assert corpus.documents == 1
    assert len(corpus) == manifest.tokens.by_discipline()["chemistry"]


def test_a_second_build_runs_nothing_and_a_change_runs_what_depends_on_it(raw: Path) -> None:
    out = raw / "out"
    first = build_corpus(recipe(raw), out)
    tasks = first.stages[0].tasks
    assert tasks == 4
    before = published(out / "small")
    again = build_corpus(recipe(raw), out)
    assert sum(ran(again).values()) == 0
    assert published(out / "small") == before

    # One source file changes: one part is read again, and the other parts keep what was done for them.
    write_rows(raw / "a" / "1.jsonl", [sentence(100 + i) for i in range(8)])
    changed = build_corpus(recipe(raw), out)
    assert ran(changed)["read"] == 1
    assert ran(changed)["drop_short"] == 1
    assert ran(changed)["drop_duplicates"] == 3  # the part's scan, the decision, the part's result
    assert ran(changed)["tokens"] == 1
    assert check_corpus(out / "small")[1] == []

    # A step changes: what comes before it is not run.
    steps = [*STEPS[:2], {"step": "drop_duplicate_paragraphs", "min_words": 6}]
    other = build_corpus(recipe(raw, steps=steps), out)
    assert ran(other)["read"] == ran(other)["drop_short"] == ran(other)["drop_duplicates"] == 0
    assert ran(other)["drop_duplicate_paragraphs"] > 0


def test_an_equal_result_of_a_changed_step_ends_the_rebuild(raw: Path) -> None:
    build_corpus(recipe(raw), raw / "out")
    steps = [{"step": "drop_short", "min_words": 4}, *STEPS[1:]]
    manifest = build_corpus(recipe(raw, steps=steps), raw / "out")
    assert ran(manifest) == {
        "read": 0,
        "drop_short": 4,
        "drop_duplicates": 0,
        "drop_duplicate_paragraphs": 0,
        "tokens": 0,
    }


def test_local_processes_give_the_same_files(raw: Path) -> None:
    build_corpus(recipe(raw), raw / "one")
    build_corpus(recipe(raw), raw / "two", LocalExecutor(2))
    assert published(raw / "one" / "small") == published(raw / "two" / "small")


@pytest.mark.slow
def test_ray_gives_the_same_files(raw: Path) -> None:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        build_corpus(recipe(raw), raw / "one")
        build_corpus(recipe(raw), raw / "two", RayExecutor())
    finally:
        ray.shutdown()
        os.environ.pop("RAY_AUTH_MODE", None)  # set by ray.init for this process and its children
    assert published(raw / "one" / "small") == published(raw / "two" / "small")


SCRIPT = """
import sys
from pathlib import Path
from innovator_rl.data.corpus import tasks
from innovator_rl.data.corpus.build import build_corpus
from innovator_rl.data.corpus.recipe import CorpusRecipe
from innovator_rl.data.corpus import executor
import time
whole = executor.run_task
def slowly(task):
    print("task", flush=True)
    time.sleep(0.05)
    return whole(task)
executor.run_task = slowly
build_corpus(CorpusRecipe.model_validate_json(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("tasks", [1, 5, 14])
def test_a_killed_build_resumes_to_identical_bytes(raw: Path, tasks: int) -> None:
    wanted = recipe(raw)
    build_corpus(wanted, raw / "whole")
    file = raw / "recipe.json"
    file.write_text(wanted.model_dump_json())
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(file), str(raw / "killed")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
    )
    assert process.stdout is not None
    for _ in range(tasks):
        assert process.stdout.readline(), "the build ended before it could be killed"
    time.sleep(0.05 * (tasks % 2))  # before or around the publication of a task
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (raw / "killed" / "small" / "manifest.json").exists()
    resumed = build_corpus(wanted, raw / "killed")
    assert sum(ran(resumed).values()) < sum(stage.tasks for stage in resumed.stages) or tasks == 1
    assert published(raw / "killed" / "small") == published(raw / "whole" / "small")


def test_unreadable_rows_count_against_the_budget(raw: Path) -> None:
    (raw / "b" / "1.jsonl").write_bytes(
        b'{"text": "good row with a good number of words"}\n{"text": \n{"text": "\xff"}\n'
    )
    with pytest.raises(UserError, match=r"2 of 30 input rows cannot be read.*1.jsonl row 2: not JSON"):
        build_corpus(recipe(raw), raw / "out")
    errors = [
        json.loads(line) for line in (raw / "out" / "small" / "errors-over-budget.jsonl").read_text().splitlines()
    ]
    assert [(e["file"], e["row"], e["reason"]) for e in errors] == [
        ("1.jsonl", 2, "not JSON"),
        ("1.jsonl", 3, "not UTF-8"),
    ]
    manifest = build_corpus(recipe(raw, error_budget=0.1), raw / "out")
    assert manifest.errors == 2
    assert manifest.error_reasons == {"not JSON": 1, "not UTF-8": 1}


def test_a_file_that_breaks_off_keeps_its_rows(raw: Path) -> None:
    rows = "".join(json.dumps({"text": f"{sentence(1000 + i)} {os.urandom(40).hex()}"}) + "\n" for i in range(200))
    (raw / "b" / "1.jsonl.gz").write_bytes(gzip.compress(rows.encode())[:-3000])
    manifest = build_corpus(recipe(raw, error_budget=0.1), raw / "out")
    assert manifest.error_reasons == {"broken file": 1}
    (error,) = map(json.loads, (raw / "out" / "small" / "errors.jsonl").read_text().splitlines())
    assert error["row"] > 100


def test_damage_to_a_built_corpus_is_found(raw: Path) -> None:
    manifest = build_corpus(recipe(raw), raw / "out")
    folder = raw / "out" / "small"
    path = folder / manifest.documents[0]
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.unlink()
    path.write_bytes(content)
    (folder / manifest.documents[1]).unlink()
    problems = check_corpus(folder)[1]
    assert problems == [
        f"{manifest.documents[0]} has another content than the build wrote",
        f"{manifest.documents[1]} is not found",
    ]


def test_a_file_that_was_changed_in_place_is_built_again(raw: Path) -> None:
    first = build_corpus(recipe(raw), raw / "out")
    folder = raw / "out" / "small"
    before = published(folder)
    for name in (first.documents[0], first.tokens.shards[0].file):
        with (folder / name).open("r+b") as file:  # the same file as the one of its task
            file.seek(30)
            file.write(b"\xff\x00\xff")
    (next((folder / ".store").glob("*/task.json"))).write_text("{")
    again = build_corpus(recipe(raw), raw / "out")
    assert 0 < sum(ran(again).values()) <= 3
    assert published(folder) == before
    assert check_corpus(folder)[1] == []


def test_a_build_that_would_end_without_documents_leaves_the_last_corpus(raw: Path) -> None:
    build_corpus(recipe(raw), raw / "out")
    before = published(raw / "out" / "small")
    with pytest.raises(UserError, match=r"the step 'drop_short' drops all 27 documents \(under 5000 words: 27\)"):
        build_corpus(recipe(raw, steps=[{"step": "drop_short", "min_words": 5000}]), raw / "out")
    (raw / "b" / "0.jsonl").write_text("")
    with pytest.raises(UserError, match="source 'b' of recipe 'small' gives no documents"):
        build_corpus(recipe(raw), raw / "out")
    assert published(raw / "out" / "small") == before


def test_disciplines_of_any_name_have_their_tokens(raw: Path) -> None:
    rows = [
        {"text": sentence(200 + i), "kind": kind} for i, kind in enumerate(["math/algebra", "../../../out", "数学"])
    ]
    (raw / "b" / "0.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = [{"name": "b", "path": str(raw / "b"), "fields": {"discipline": "kind"}}]
    manifest = build_corpus(recipe(raw, sources=sources, steps=[]), raw / "out")
    assert set(manifest.tokens.by_discipline()) == {"math/algebra", "../../../out", "数学"}
    assert check_corpus(raw / "out" / "small")[1] == []
    assert TokenCorpus.open(raw / "out" / "small", ["math/algebra"]).documents == 1


def test_a_full_disk_and_an_output_that_is_a_file_are_one_sentence(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (raw / "file").write_text("")
    with pytest.raises(UserError, match=r"--out: '.*file/small' cannot be made .*: expected a folder"):
        build_corpus(recipe(raw), raw / "file")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("innovator_rl.data.corpus.build.publish_file", full)
    with pytest.raises(UserError, match="no space is left on the disk"):
        build_corpus(recipe(raw), raw / "out")


def test_two_builds_of_one_corpus_at_a_time_are_refused(raw: Path) -> None:
    folder = raw / "out" / "small"
    folder.mkdir(parents=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"another build of .* is running"):
            build_corpus(recipe(raw), raw / "out")


def test_a_missing_tokenizer_stops_the_build_at_once(raw: Path) -> None:
    path = raw / "tokenizer"
    path.mkdir()
    with pytest.raises(UserError, match=r"tokenizer.json' is not found"):
        build_corpus(recipe(raw, outputs={"tokens": {"tokenizer": str(path)}}), raw / "out")
    outputs = {"tokens": {"tokenizer": "tiny-qwen2", "end_token": "<nothing>"}}
    with pytest.raises(UserError, match="has no token '<nothing>'"):
        build_corpus(recipe(raw, outputs=outputs), raw / "out")
    (path / "tokenizer.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match=r"is not a tokenizer\.json"):
        build_corpus(recipe(raw, outputs={"tokens": {"tokenizer": str(path)}}), raw / "out")
    assert not (raw / "out").exists()


def test_missing_packages_name_the_installation_command() -> None:
    with pytest.raises(UserError, match="tea needs the package tea-kettle, which is not found"):
        require("no_such_kettle.spout", "tea-kettle", "tea")


def test_progress_has_a_rate_and_the_time_left() -> None:
    now = [0.0]
    stream = io.StringIO()
    progress = Progress(stream, clock=lambda: now[0])
    progress.start("read", tasks=4, size=8_000_000, cached=1)
    now[0] = 20.0
    progress.advance(2_000_000)
    assert progress.line() == "read: 1/4 tasks, 2.0 of 8.0 MB, 0.10 MB/s, 1:00 left"
    progress.finish("3 of 4 documents")
    assert stream.getvalue().splitlines() == [progress.line(), "read: 3 of 4 documents (20.0 s, 1 of 4 tasks reused)"]


def test_an_interrupted_publication_leaves_the_last_corpus_whole(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = raw / "out" / "small"
    build_corpus(recipe(raw), raw / "out")
    write_rows(raw / "a" / "1.jsonl", [sentence(100 + i) for i in range(8)])
    published_files = []

    def fail_at_the_second(source: Path, final: Path) -> None:
        if published_files:
            raise KeyboardInterrupt
        published_files.append(final)
        publish_file(source, final)

    with monkeypatch.context() as patched:
        patched.setattr("innovator_rl.data.corpus.build.publish_file", fail_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            build_corpus(recipe(raw), raw / "out")
    assert check_corpus(folder)[1] == []
    build_corpus(recipe(raw), raw / "out")
    build_corpus(recipe(raw), raw / "fresh")
    assert published(folder) == published(raw / "fresh" / "small")
