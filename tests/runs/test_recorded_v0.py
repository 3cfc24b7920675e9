"""A run directory that version 0 recorded, with the metric names and drop reasons of its time, stays readable.

`recorded_v0/` has three steps, two attempts and a group without a score. It was written by that version and never changes.
"""

import json
import shutil
from pathlib import Path

import pytest

from innovator_rl.cli.main import main
from innovator_rl.rollouts.domain_figures import domain_figures
from innovator_rl.rollouts.index import RolloutIndex
from innovator_rl.rollouts.segment_reader import SegmentReader
from innovator_rl.rollouts.store import Store
from innovator_rl.runs.metric_names import RENAMED, current_names
from innovator_rl.runs.run_dir import RunDir
from innovator_rl.runs.summary import overall_accuracy, step_figures, trained_domains

RECORDED = Path(__file__).with_name("recorded_v0")


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(shutil.copytree(RECORDED, tmp_path / "recorded_v0"))


def test_the_state_is_the_recorded_one(run: RunDir) -> None:
    state = run.state()
    assert (state.status, state.step, state.total_steps, state.attempt) == ("finished", 3, 3, 2)


def test_metrics_come_under_their_current_names(run: RunDir) -> None:
    assert "sampling/useful_groups" in run.metrics_jsonl.read_text()
    metrics = run.metrics()
    assert [line["step"] for line in metrics] == [1, 2, 3]
    assert [line["attempt"] for line in metrics] == [1, 2, 2]
    for line in metrics:
        assert not set(line) & set(RENAMED)
        assert {"sampling/kept_groups", "sampling/fallback_groups", "sampling/dropped_unscored"} <= set(line)
        assert line["domain/physics/unscored"] == 0.5
        assert "domain/physics/unjudged" not in line


def test_a_metric_with_both_names_has_the_current_value() -> None:
    both = {"sampling/useful_groups": 1.0, "sampling/kept_groups": 2.0}
    assert current_names(both) == current_names(dict(reversed(both.items()))) == {"sampling/kept_groups": 2.0}


def test_the_summary_has_the_recorded_figures(run: RunDir) -> None:
    line = run.metrics()[-1]
    figures = step_figures(line)
    assert figures["groups_kept"] == round(line["sampling/kept_groups"])
    assert figures["groups_dropped"] == {"unscored": 1}
    assert figures["reward"] == pytest.approx(line["critic/score/mean"])
    domains = trained_domains({"domain/a/responses": 8, "domain/a/unjudged": 0.5, "domain/a/correct": 0.75})
    assert domains["a"] == {"accuracy": 0.75, "reward": None, "responses": 8, "scored": 4, "correct": 3.0}
    assert overall_accuracy(domains) == 0.75


def test_the_store_reads_every_step(run: RunDir) -> None:
    store = Store(run.path)
    assert store.steps() == [1, 2, 3]
    assert all(row["attempt"] == 2 for row in store.rollouts([2, 3]))
    row = store.rollouts(3, with_text=True, prompt_uid="unscored")[0]
    assert (row["response"], row["kept"], row["drop_reason"]) == ("no score", False, "unscored")
    assert {row["drop_reason"]: row["groups"] for row in store.dropped(3)}["unscored"] == 1
    figures = domain_figures(store, 3)
    assert set(figures["physics"]) == {"accuracy", "reward", "responses", "scored", "correct"}
    assert figures["physics"]["scored"] <= figures["physics"]["responses"] - 2


def test_the_index_reads_every_step(run: RunDir) -> None:
    index = RolloutIndex(run.path)
    assert index.refresh() == {(0, "validation"), (1, "train"), (2, "train"), (3, "train")}
    assert not index.problems()
    rows = index.query("SELECT count(*) AS n FROM responses WHERE kind = 'train'")
    assert rows[0]["n"] == sum(len(Store(run.path).rollouts(step)) for step in (1, 2, 3))
    assert index.query("SELECT drop_reason FROM groups WHERE prompt_uid = 'unscored'") == [{"drop_reason": "unscored"}]
    place = index.query("SELECT segment, position FROM responses WHERE prompt_uid = 'unscored' LIMIT 1")[0]
    key = (place["segment"], place["position"])
    assert SegmentReader(run.path).rows([key], ["response"])[key] == {"response": "no score"}
    index.close()


def test_runs_show_prints_its_figures(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    runs_dir = str(run.path.parent)
    with pytest.raises(SystemExit) as ended:
        main(["runs", "show", "recorded_v0", "--runs-dir", runs_dir])
    assert not ended.value.code
    assert "unscored" in capsys.readouterr().out
    assert json.loads((run.path / "run.json").read_text())["schema_version"] == 1
