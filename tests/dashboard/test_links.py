"""A job's metadata links to the page of its run, and token text comes from the run's tokenizer."""

import json
from pathlib import Path
from typing import Any

import pytest

from innovator_rl.dashboard.queries.tokens import token_texts
from innovator_rl.jobs import submit as jobs
from innovator_rl.models.byte_tokenizer import byte_tokenizer
from innovator_rl.runs.run_dir import RunDir, page_link


def test_a_job_carries_the_link_to_its_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    submitted: dict[str, Any] = {}

    class Client:
        def submit_job(self, **facts: Any) -> str:
            submitted.update(facts)
            return "id"

        def list_jobs(self) -> list[Any]:
            return []

    monkeypatch.setattr(jobs, "client", lambda address: Client())
    monkeypatch.setenv("INNOVATOR_DASHBOARD_URL", "https://runs.example.org/")
    config = jobs.RunConfig(name="faster")
    job = jobs.Job(config, "http://127.0.0.1:8265", "id", "innovator train x", {}, None, tmp_path / "faster")  # type: ignore[arg-type]
    assert jobs.submit(job) == "id"
    assert submitted["metadata"]["dashboard"] == "https://runs.example.org/#/runs/faster"
    monkeypatch.delenv("INNOVATOR_DASHBOARD_URL")
    assert page_link(RunDir(tmp_path / "x")) == "http://127.0.0.1:8000/#/runs/x"
    assert page_link(RunDir(tmp_path / "a#b?%")) == "http://127.0.0.1:8000/#/runs/a%23b%3F%25"


def test_token_texts_of_a_byte_level_tokenizer_join_to_the_text(tmp_path: Path) -> None:
    text = "E = \u00bd m v\u00b2, \u5206\u5b50 \U0001f9ea\n"
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    ids = tokenizer.encode(text)
    source, pieces = token_texts(tmp_path, ids)
    assert source == "tokenizer"
    assert len(pieces) == len(ids)
    assert "".join(pieces) == text


def test_without_a_tokenizer_or_with_a_broken_one_ids_are_shown(tmp_path: Path) -> None:
    assert token_texts(tmp_path, [5, None, -1]) == ("ids", ["#5", "", "#-1"])
    (tmp_path / "tokenizer.json").write_text(json.dumps({"version": "1.0", "model": "none"}))
    assert token_texts(tmp_path, [5]) == ("ids", ["#5"])


def test_a_tokenizer_outside_the_run_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    byte_tokenizer().backend_tokenizer.save(str(tmp_path / "elsewhere" / "tokenizer.json"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tokenizer.json").symlink_to(tmp_path / "elsewhere" / "tokenizer.json")
    assert token_texts(tmp_path / "run", [5])[0] == "ids"
