"""The picture of the samples of every training: what a point pools, where it lies, and labels that do not touch."""

import itertools
import json
from xml.etree import ElementTree

import pytest
from small_path import small_path

from innovator_rl.paper.report.curves import HEIGHT, LEFT, WIDTH, Panel, curves, panels, pooled
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


def test_points_lie_on_the_axes_and_labels_do_not_touch():
    lines = {f"task-{n}": [(0.0, 0.0), (10.0, 0.5 + n / 1000)] for n in range(9)} | {"x<y": [(10.0, 1.0)]}
    root = ElementTree.fromstring(curves([Panel("arm", 10, lines, dict.fromkeys(lines, ()))]))
    words = {word.text: word for word in root.iterfind(".//{*}text")}
    top, middle = (float(words[share].attrib["y"]) - 4 for share in ("100", "50"))
    assert middle - top == HEIGHT / 2
    first, last = root.find(".//{*}polyline").attrib["points"].split()
    assert [float(value) for value in first.split(",")] == [LEFT, top + HEIGHT]
    assert [float(value) for value in last.split(",")] == [LEFT + WIDTH, middle]
    places = sorted(float(word.attrib["y"]) for text, word in words.items() if " to " in text)
    assert len(places) == 10
    assert min(b - a for a, b in itertools.pairwise(places)) >= 13
