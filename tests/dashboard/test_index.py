"""The index keeps up with the files and can be thrown away; what is damaged costs its own rows and is named."""

import json
import shutil
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dashboard_runs import record
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from innovator_rl.rollouts.background_indexer import BackgroundIndexer, repetition, token_means
from innovator_rl.rollouts.fulltext import FullTextIndex
from innovator_rl.rollouts.index import RolloutIndex
from innovator_rl.rollouts.schema import ROLLOUTS
from innovator_rl.rollouts.segment_reader import SegmentReader
from innovator_rl.rollouts.segments import compact


def count(index: RolloutIndex, condition: str = "true") -> int:
    return int(index.query(f"SELECT count(*) AS n FROM responses WHERE {condition}")[0]["n"])


def read_everything(index: RolloutIndex) -> None:
    indexer = BackgroundIndexer(index, SegmentReader(index.run_dir))
    while indexer.work():
        pass


def test_new_segments_attempts_and_merges_are_picked_up(tmp_path: Path) -> None:
    run = tmp_path / "r"
    record(run, 1)
    index = RolloutIndex(run)
    assert index.refresh() == {(1, "train")}
    rids = index.query("SELECT prompt_uid, sample_index, rid FROM responses ORDER BY ALL")
    record(run, 1, groups=1, samples=6)  # two more samples; four that are there already
    record(run, 2)
    assert index.refresh() == {(1, "train"), (2, "train")}
    assert (count(index, "step = 1"), count(index, "step = 2")) == (18, 16)
    record(run, 1, groups=4, samples=1)
    record(run, 1, groups=4, samples=1)
    index.refresh()
    for dataset in ("rollouts", "updates"):
        assert compact(run, dataset, 1, "train", 1) == 4
    assert index.refresh() == {(1, "train")}
    kept = {
        (row["prompt_uid"], row["sample_index"]): row["rid"]
        for row in index.query("SELECT * FROM responses WHERE step = 1")
    }
    assert all(kept[row["prompt_uid"], row["sample_index"]] == row["rid"] for row in rids)
    record(run, 2, attempt=2, groups=3)
    index.refresh()
    assert count(index, "step = 2") == 12
    assert index.refresh() == set()
    index.close()


def test_a_deleted_or_spoilt_index_is_rebuilt(tmp_path: Path) -> None:
    run = tmp_path / "r"
    record(run, 1)
    for spoil in (
        lambda folder: shutil.rmtree(folder),
        lambda folder: (folder / "narrow.duckdb").write_bytes(b"rubbish" * 1000),
        lambda folder: (folder / "fulltext.sqlite").write_bytes(b"rubbish" * 1000),
        lambda folder: (folder / "fulltext.sqlite").unlink(),
        lambda folder: (folder / "narrow.duckdb").unlink(),
    ):
        index = RolloutIndex(run)
        index.refresh()
        read_everything(index)
        assert count(index) == 16
        assert len(index.fulltext.search("answer")) == 16
        index.close()
        spoil(run / ".index")
    index = RolloutIndex(run)
    index.refresh()
    read_everything(index)
    assert len(index.fulltext.search("answer")) == count(index) == 16
    index.close()


def test_the_index_of_an_older_version_is_rebuilt(tmp_path: Path) -> None:
    run = tmp_path / "r"
    record(run, 1)
    RolloutIndex(run).close()
    with duckdb.connect(run / ".index" / "narrow.duckdb") as old:
        old.execute("UPDATE about SET version = 2")
        old.execute("DROP VIEW responses")
        old.execute("CREATE TABLE responses (sample INTEGER, fate VARCHAR)")
    index = RolloutIndex(run)
    index.refresh()
    assert index.query("SELECT DISTINCT status, generation_status FROM responses") == [
        {"status": "kept", "generation_status": "ok"}
    ]
    index.close()


def test_a_second_reader_gets_an_index_of_its_own(tmp_path: Path) -> None:
    record(tmp_path / "r", 1)
    first, second = RolloutIndex(tmp_path / "r"), RolloutIndex(tmp_path / "r")
    for index in (first, second):
        index.refresh()
        assert count(index) == 16
    assert (first.temporary, second.temporary) == (False, True)
    aside = second.directory
    second.close()
    first.close()
    assert not aside.exists()


def test_what_is_read_once_is_not_read_again(tmp_path: Path) -> None:
    run = tmp_path / "r"
    record(run, 1)
    index = RolloutIndex(run)
    index.refresh()
    read_everything(index)
    row = index.query("SELECT entropy, clip_low, clip_high, gap, repetition, indexed, measured FROM responses LIMIT 1")[
        0
    ]
    assert row == {
        "entropy": pytest.approx(0.4),
        "clip_low": pytest.approx(1 / 3),
        "clip_high": pytest.approx(1 / 3),
        "gap": pytest.approx(0.5 / 3),
        "repetition": pytest.approx(0.0),
        "indexed": True,
        "measured": True,
    }
    record(run, 1, groups=1, samples=5)
    index.refresh()
    assert count(index, "indexed AND measured") == 16
    read_everything(index)
    assert count(index, "indexed AND measured") == 17
    index.close()


def test_a_step_that_was_left_half_way_goes_on_with_its_other_half(tmp_path: Path) -> None:
    run = tmp_path / "r"
    record(run, 1, groups=300)
    index = RolloutIndex(run)
    index.refresh()
    indexer = BackgroundIndexer(index, SegmentReader(run))
    assert indexer.work()
    indexer.restart()
    first = count(index, "indexed")
    assert 0 < first < 1200
    assert len(index.fulltext.search("answer")) == first
    read_everything(index)
    assert count(index, "indexed") == len(index.fulltext.search("answer")) == 1200
    index.close()


def spoil_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[40 : len(data) // 2] = bytes(len(data) // 2 - 40)
    path.write_bytes(data)


def test_good_rows_stay_readable_beside_every_kind_of_bad_file(new_client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "r"
    for step in (1, 2, 3):
        record(run, step)
    folder = run / "rollouts" / "step=000001"
    good = next(folder.glob("train-*.parquet"))
    names = {
        kind: f"train-a001-{kind}-00ff-000000.parquet"
        for kind in ("cut", "empty", "text", "foreign", "typed", "zeros", "middle")
    }
    (folder / names["cut"]).write_bytes(good.read_bytes()[:-200])
    (folder / names["empty"]).write_bytes(b"")
    (folder / names["text"]).write_text("PAR1 not really PAR1")
    pq.write_table(pa.table({"a": [1, 2]}), folder / names["foreign"])
    wrong = {**{name: ["x"] for name in ROLLOUTS.names}, "terms": ["none"]}
    pq.write_table(pa.table(wrong), folder / names["typed"])
    (folder / names["zeros"]).write_bytes(b"PAR1" + bytes(3000) + b"PAR1")
    shutil.copy(good, folder / names["middle"])
    spoil_middle(folder / names["middle"])
    (folder / "notes.txt").write_text("hello")
    (run / "rollouts" / "step=000002" / ".train-a001-w-00-000000.parquet.tmp").write_bytes(b"PAR1")
    (run / "rollouts" / "step=abc").mkdir()
    (run / "run.json").write_text('{"name": "r", "sta')
    (run / "metrics.jsonl").write_text('{"step": 1, "critic/score/mean": 0.5}\n{"step": 2, "crit\nnull\n')
    (run / "config.yaml").write_text("a: [1, 2\n b: }{")
    (run / "labels.jsonl").write_text('{"kind": "train"}\n[]\nnot json\n')

    answer = new_client.get("/api/runs/r").json()
    assert answer["record"]["train"]["rows"] >= 48
    assert answer["config"] is None
    assert answer["config_text"].startswith("a: [1")
    named = {problem["file"].rsplit("/", 1)[-1] for problem in answer["problems"]}
    assert {*names.values(), "notes.txt"} <= named
    for step in (1, 2, 3):
        page = new_client.get("/api/runs/r/rollouts", params={"step": step, "reason": "correct"}).json()
        assert page["total"] == 8
        group = new_client.get("/api/runs/r/group", params={"step": step, "uid": "g1"}).json()
        assert {row["response"] for row in group["responses"] if row["response"]} >= {"an answer 1 0"} or step == 1
    for path in ("curves", "health", "labels", "groups", "export", "static", "sql"):
        assert new_client.get(f"/api/runs/r/{path}").status_code == 200, path
    row = new_client.get("/api/runs").json()["rows"][0]
    assert (row["status"], row["alerts"] is not None) == ("unknown", True)


def test_a_damaged_text_costs_itself(new_client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "r"
    record(run, 1, text="x" * 3000)
    path = next((run / "rollouts" / "step=000001").glob("*.parquet"))
    metadata = pq.read_metadata(path).row_group(0)
    columns = [metadata.column(number) for number in range(metadata.num_columns)]
    (column,) = (column for column in columns if column.path_in_schema == "response")
    data = bytearray(path.read_bytes())
    start = column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)
    assert new_client.get("/api/runs/r/rollouts").json()["total"] == 16
    answer = new_client.get("/api/runs/r/response", params={"step": 1, "uid": "g0", "sample_index": 1}).json()
    assert "damaged" in answer["text_error"]
    assert answer["score"]["correct"] is True


def test_a_step_that_lands_is_announced_and_shown(new_client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "r"
    record(run, 1)
    assert new_client.get("/api/runs/r/rollouts").json()["total"] == 16
    session = new_client.app.state.services.runs.open("r")  # type: ignore[attr-defined]
    before = session.versions["rollouts"]
    record(run, 2, groups=2)
    deadline = time.monotonic() + 20
    while session.versions["rollouts"] == before and time.monotonic() < deadline:
        time.sleep(0.05)
    deadline = time.monotonic() + 20
    while new_client.get("/api/runs/r/rollouts").json()["total"] != 24 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert new_client.get("/api/runs/r/rollouts").json()["total"] == 24


def test_responses_without_an_update_are_pending_and_validation_is_its_own(
    new_client: TestClient, tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "r"
    record(run, 1)
    shutil.rmtree(run / "updates")
    record(run, 2, kind="validation")
    pages = {
        kind: new_client.get("/api/runs/r/rollouts", params={"kind": kind}).json() for kind in ("train", "validation")
    }
    assert {row["status"] for row in pages["train"]["rows"]} == {"pending"}
    assert {row["status"] for row in pages["validation"]["rows"]} == {"validation"}


def test_words_of_scripts_without_spaces_are_found(tmp_path: Path) -> None:
    words = FullTextIndex(tmp_path / "w.sqlite", "b")
    words.add(
        [
            (1, "分子的质量是 12 kg", "p", None),
            (2, "Die Energie ist GRÖSSER", "p", None),
            (3, 'say "quoted" AND NOT (x) m/s^2', "p", None),
        ]
    )
    words.add([(1, "something else", "q")])
    words.commit()
    assert words.search("质量") == [1]
    assert words.search("energie größ*") == []
    assert words.search("grösser") == [2]
    assert words.search('AND "NOT') == [3]
    assert words.search("m/s^2 (x)") == [3]
    assert words.search("  *** ") == []
    assert words.previews([1, 9]) == {1: "p"}
    words.close()


@given(st.lists(st.sampled_from("abcd"), max_size=30))
def test_repetition_is_the_share_of_sequences_seen_before(words: list[str]) -> None:
    value = repetition(" ".join(words))
    if len(words) < 4:
        assert value is None
        return
    seen, repeats = set(), 0
    for start in range(len(words) - 3):
        sequence = tuple(words[start : start + 4])
        repeats += sequence in seen
        seen.add(sequence)
    assert value == pytest.approx(repeats / (len(words) - 3))


@given(st.lists(st.one_of(st.none(), st.lists(st.floats(0, 4, width=32), max_size=5)), min_size=1, max_size=8))
def test_token_means_are_means(lists: list[list[float] | None]) -> None:
    means = token_means(pa.table({"entropy": pa.array(lists, pa.list_(pa.float32()))}))["entropy"]
    for values, mean in zip(lists, means, strict=True):
        assert (mean != mean) if not values else mean == pytest.approx(sum(values) / len(values), rel=1e-4, abs=1e-5)


def test_labels_survive_torn_lines(new_client: TestClient, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "r"
    record(run, 1)
    (run / "labels.jsonl").write_text(
        '{"kind": "train", "step": 1, "uid": "g0", "sample": 0, "label": "old"}\n{"kind": "tra'
    )
    body = {"step": 1, "uid": "g0", "sample_index": 0, "label": "new"}
    assert new_client.post("/api/runs/r/labels", json=body).status_code == 200
    assert new_client.get("/api/runs/r/labels").json()["names"] == ["new", "old"]
    lines = (run / "labels.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["label"] == "new"
