"""Evaluate a checkpoint on the paper's tables, or on a suite of one's own.

`innovator eval SUITE --model PATH` reads a suite (`suite.py`), builds its tasks (`build.py`: those of
lm-evaluation-harness in `harness.py`, those scored by a rewarder in `scored.py`), answers their requests (`driver.py`,
through an engine process of `engine/` and the response store of `store.py`), and writes a report (`report.py`) and a run
directory that the dashboard opens like a training run (`recording.py`).
"""
