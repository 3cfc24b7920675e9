"""The report states what was measured, from how many rows, and why a row has no number."""

from typing import Any

import pytest

from innovator_rl.evaluation import report


def row(task: str, score: float | None, **more: Any) -> dict[str, Any]:
    base = {"task": task, "title": task, "section": "", "same_protocol": "not stated", "paper": {}, "note": ""}
    measured = {"metric": "acc", "score": score, "n": 4, "interval": None, "skipped": None, "main": True, "share": True}
    return {**base, **measured, **more}


@pytest.fixture
def document() -> dict[str, Any]:
    facts = {"truncated": 3, "responses": 4, "abstained": 0, "errors": 0, "format": "raw"}
    unscored = {"truncated": 0, "responses": 4, "abstained": 0, "errors": 4, "format": "raw"}
    return {
        "suite": "own",
        "title": "",
        "suite_note": "",
        "model": "m",
        "columns": ["paper"],
        "averages": {"sums": "All", "lost": "All", "absent": "All"},
        "rows": [
            row("sums", 0.25, constant=0.125, interval=[0.05, 0.7], paper={"paper": 50.0}),
            row("lost", None, n=0),
            row("absent", None, n=0, skipped="put it at eval/x.jsonl", main=False),
        ],
        "tasks": {
            "sums": {"facts": facts, "rows": 4, "whole": 1000, "new_tokens": 64},
            "lost": {"facts": unscored, "rows": 4, "whole": 4, "new_tokens": 64},
        },
        "footer": {"seed": 7, "command": "innovator eval own", "tokens_per_second": None},
    }


def test_a_report_names_rows_drawn_cut_unscored_and_skipped(document: dict[str, Any]) -> None:
    text = report.markdown(document)
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert "25.0 [5.0, 70.0] | 12.5 | 4 |" in lines["sums"]
    assert "4 of 1,000 rows drawn; 3 of 4 responses cut at the limit of 64 tokens" in lines["sums"]
    assert "no response was scored" in lines["lost"]
    assert "4 responses unscored" in lines["lost"]
    assert "25.0 |  | 1 of 3 tasks" in lines["**Average: All**"]
    assert "- absent (`absent`): put it at eval/x.jsonl" in text
    assert "drawn at random** (seed 7)" in text
    assert "tokens per second" not in text
    page = report.html_page(document)
    assert page.count("<rect") == 1
    assert "no response was scored" in page
