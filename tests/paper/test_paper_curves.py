"""The picture of the samples of every training: what a point pools, where it lies, and labels that do not touch."""

import itertools
import json
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_path import small_path

from innovator_rl.paper.report.curves import HEIGHT, LEFT, LINE, WIDTH, Panel, curves, panels, pooled, spread
from innovator_rl.paper.report.write import write_report
from innovator_rl.runs.run_dir import RunDir


def row(step, **tasks):
    """Return the metrics of a step: task = (samples, share of right ones)."""
    found = {"step": step}
    for task, (n, correct) in tasks.items():
        found |= {f"source/{task}/responses": n, f"source/{task}/correct": correct}
    return found


def test_a_point_pools_samples_and_not_steps():
    rows = [row(1, laws=(8, 1.0)), row(2, laws=(24, 0.0)), row(3), row(5, laws=(8, 0.5)), row(6, laws=(8, 0.25))]
    first, second = pooled(rows, "laws")
    assert first == pytest.approx(((8 * 1 + 24 * 2 + 8 * 5) / 40, 12 / 40))
    assert second == (6.0, 0.25)
    assert pooled(rows, "other") == []
    lost = row(6, laws=(24, 0.0)) | {"source/laws/unscored": 1.0}
    assert pooled([lost], "laws") == []
    assert pooled([lost, *rows[-1:]], "laws") == [second]


def test_the_report_shows_the_arms_that_recorded_samples_by_task(tmp_path):
    arms = [{"name": name, "model": "base", "seeds": [0, 1], "tasks": ["product"]} for name in ("a", "b")]
    config = small_path(runs_dir=tmp_path, learning={"config": "configs/train/moe.yaml", "arms": arms}, evaluations=[])
    run = RunDir(tmp_path / "t").create()
    assert "learning.svg" not in write_report(config, run, []).read_text()
    assert not (run.path / "learning.svg").exists()
    for seed, share in ((0, 0.25), (1, 0.75)):
        rows = [row(step, product=(8, share)) | {"val-core/product/acc/mean@1": share} for step in range(1, 11)]
        directory = RunDir(tmp_path / f"t-a-{seed}").create()
        directory.metrics_jsonl.write_text("".join(json.dumps(one) + "\n" for one in rows))
    (panel,) = panels(config)
    assert (panel.title, panel.steps) == ("a, from base", 10)
    assert panel.lines == {"product": [(3.0, 0.5), (8.0, 0.5)]}
    assert panel.dots == {"product": [(3.0, 0.25), (8.0, 0.25), (3.0, 0.75), (8.0, 0.75)]}
    assert "](learning.svg)" in write_report(config, run, []).read_text()
    ElementTree.fromstring((run.path / "learning.svg").read_text())


def test_points_lie_on_the_axes_and_labels_touch_nothing():
    """Seven tasks near 0 % in two panels: no label leaves its panel, and a line of one point is seen."""
    lines = {f"task-{n}": [(0.0, 0.0), (10.0, n / 1000)] for n in range(7)} | {"x<y": [(10.0, 0.5)]}
    root = ElementTree.fromstring(curves([Panel(arm, 10, lines, dict.fromkeys(lines, ())) for arm in "ab"]))
    words = [(word.text, float(word.attrib["y"]) - 4) for word in root.iterfind(".//{*}text")]
    tops = [y for text, y in words if text == "100"]
    assert len(tops) == 2
    assert tops[0] + HEIGHT < tops[1] - 14
    first, last = root.find(".//{*}polyline").attrib["points"].split()
    assert [float(value) for value in first.split(",")] == [LEFT, tops[0] + HEIGHT]
    assert float(last.split(",")[0]) == LEFT + WIDTH
    marks = {(float(mark.attrib["cx"]), float(mark.attrib["cy"])) for mark in root.iterfind(".//{*}circle")}
    assert (LEFT + WIDTH, tops[0] + HEIGHT / 2) in marks
    for top in tops:
        places = sorted(y for text, y in words if " to " in text and top <= y <= top + HEIGHT)
        assert len(places) == 8
        assert min(b - a for a, b in itertools.pairwise(places)) >= 13
    assert max(y for _, y in words) < float(root.attrib["height"])


@given(st.lists(st.floats(0, 150), max_size=11).map(sorted))
def test_labels_stay_in_order_and_inside(places):
    moved = spread(places, 150)
    assert all(b - a >= LINE - 1e-9 for a, b in itertools.pairwise(moved))
    assert all(-LINE <= y <= 150 for y in moved)
    apart = [LINE * n for n in range(5)]
    assert spread(apart, 150) == apart
