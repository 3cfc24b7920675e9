"""Pass rates are measured once and kept; tasks pass or fail by the written rule."""

import json
import sys
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from innovator_rl.data.build import build
from innovator_rl.data.difficulty import Measured, keep_by_difficulty
from innovator_rl.data.generators import Answer, EndpointGenerator, Sampling, VllmGenerator
from innovator_rl.data.probe import constant_of_rows, rule, shown_name, summarize
from innovator_rl.data.problem import Problem
from innovator_rl.data.recipe import Recipe
from innovator_rl.data.rejections import Rejections
from innovator_rl.data.rendering import rewarder_of
from innovator_rl.data.rows import Row
from innovator_rl.errors import UserError
from innovator_rl.scoring.pool import ScoringPool


class FakeModel:
    """Answer the n-th sum correctly in n of 4 samples."""

    def __init__(self, stop_after: int = 10**6, failing: str = "") -> None:
        self.asked: list[str] = []
        self.stop_after = stop_after
        self.failing = failing

    def answers(self, prompts: Sequence[Any], sampling: Sampling) -> Iterator[list[Answer] | str]:
        for prompt in prompts:
            if len(self.asked) >= self.stop_after:
                raise KeyboardInterrupt
            text = prompt[-1]["content"]
            self.asked.append(text)
            number = int(text.split()[2])
            right = [Answer(str(number + 1), False)] * min(number, sampling.samples)
            yield self.failing or [*right, *[Answer("no idea", True)] * (sampling.samples - len(right))]

    def close(self) -> None:
        pass


def sums(count: int) -> list[Problem]:
    return [Problem(str(n), f"What is {n} + 1?", str(n + 1)) for n in range(count)]


def recipe(**difficulty: Any) -> Recipe:
    settings = {"model": "fake", "samples": 4, **difficulty}
    return Recipe(name="r", domain="math", license="-", style="bare", difficulty=settings)


def kept(folder: Path, model: FakeModel, rows: list[Problem], **settings: Any) -> tuple[list[Problem], Rejections]:
    from innovator_rl.data.checks.progress import RowProgress

    rejected = Rejections()
    found = keep_by_difficulty(rows, recipe(**settings), folder, rejected, 1, RowProgress(), model)
    return found, rejected


def test_the_pass_rate_is_kept_on_the_row_and_filters_by_range(tmp_path: Path) -> None:
    found, rejected = kept(tmp_path, FakeModel(), sums(6), keep=[0.25, 0.75])
    assert [problem.info["pass_rate"] for problem in found] == [
        {"model": "fake", "samples": 4, "correct": right} for right in (1, 2, 3)
    ]
    assert rejected == {"too hard for fake": 1, "too easy for fake": 2}


def test_an_interrupted_measurement_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path, FakeModel(stop_after=3), sums(6))
    with (tmp_path / "difficulty.jsonl").open("a") as cache:
        cache.write('{"key": "cut o')  # the last line of a build that was killed
    second = FakeModel()
    found, _ = kept(tmp_path, second, sums(6))
    assert [text.split()[2] for text in second.asked] == ["3", "4", "5"]
    assert len(found) == 6
    third = FakeModel()
    assert kept(tmp_path, third, sums(6))[0] == found
    assert third.asked == []
    kept(tmp_path, third, sums(6), temperature=0.5)
    assert len(third.asked) == 6  # another sampling is another figure


def test_other_weights_and_another_source_of_the_rewarder_are_measured_again(tmp_path: Path) -> None:
    from innovator_rl.data.checks.progress import RowProgress

    rewarder, weights = tmp_path / "rewarder.py", tmp_path / "model" / "model.safetensors"
    weights.parent.mkdir()
    settings = {"model": str(weights.parent), "samples": 4}
    made = Recipe(name="r", domain="own", reward=f"{rewarder}:f", license="-", reader="jsonl", difficulty=settings)

    def asked() -> int:
        model = FakeModel()
        keep_by_difficulty(sums(2), made, tmp_path, Rejections(), 1, RowProgress(), model)
        return len(model.asked)

    rewarder.write_text("def f(response):\n    return 0.0\n")
    weights.write_text("old weights")
    assert (asked(), asked()) == (2, 0)
    weights.write_text("new weights")
    assert (asked(), asked()) == (2, 0)
    rewarder.write_text("def f(response):\n    return 1.0\n")
    assert (asked(), asked()) == (2, 0)


def test_what_could_not_be_measured_is_named_and_tried_again(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no prompt could be measured with 'fake': endpoint failed: Timeout"):
        kept(tmp_path, FakeModel(failing="endpoint failed: Timeout"), sums(3))
    assert len(kept(tmp_path, FakeModel(), sums(3))[0]) == 3


class Server(BaseHTTPRequestHandler):
    """A completion server that fails in the ways of real ones."""

    replies: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        reply = self.replies.pop(0) if self.replies else {"choices": [choice("4", "stop")]}
        code, body = reply if isinstance(reply, tuple) else (200, json.dumps(reply))
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


def choice(text: str | None, finish: str) -> dict:
    return {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([(429, "{}"), (500, "{}"), {"choices": [choice("4", "stop"), choice("5", "length")]}], [Answer("4", False), Answer("5", True)]),
        ([{"choices": [choice("4", "stop")]}, {"choices": [choice(None, "stop")]}], [Answer("4", False), Answer("", False)]),
        ([(400, "{}")], "endpoint failed: BadRequestError"),
        ([{"choices": []}], "endpoint gave no completion"),
        ([(200, '{"choices": [null]}')], "endpoint gave no completion"),
    ],
)  # fmt: skip
def test_an_endpoint_answers_or_gives_its_reason(replies: list[Any], expected: Any) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Server.replies = list(replies)
    generator = EndpointGenerator("m", f"http://127.0.0.1:{server.server_port}/v1")
    try:
        assert list(generator.answers([[{"role": "user", "content": "2+2?"}]], Sampling(2, 1.0, 8))) == [expected]
    finally:
        generator.close()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("accuracy", "constant", "usable", "reasons"),
    [
        (0.40, 0.10, 0.70, 0), (0.10, 0.00, 0.50, 0), (0.70, 0.60, 0.50, 0), (0.09, 0.00, 0.60, 2), (0.71, 0.10, 0.60, 1),
        (0.50, 0.50, 0.96, 1), (0.50, 0.10, 0.49, 1), (0.54, 0.58, 0.20, 2),
    ],
)  # fmt: skip
def test_the_rule(accuracy: float, constant: float, usable: float, reasons: int) -> None:
    assert len(rule(accuracy, constant, usable)) == reasons


def test_figures_of_a_task() -> None:
    measured = [
        Measured(4, 4, 0, 0, 1.0),
        Measured(4, 1, 2, 1, 0.25),
        Measured(4, 0, 4, 3, 0.0),
        Measured(4, 2, 0, 0, 0.5),
    ]
    found = summarize("t", measured, 4, 0.2, "7")
    assert (found.accuracy, found.usable, found.unreadable, found.cut) == (7 / 16, 0.5, 6 / 16, 4 / 16)
    assert shown_name("runs/small/data/product/validation.parquet") == "product"
    assert shown_name("product") == "product"
    assert found.passes


def test_the_best_constant_is_found_by_the_rewarder_not_by_the_text() -> None:
    def row(index: int, answer: str) -> Row:
        return Row(
            "s", ({"role": "user", "content": f"q{index}"},), "math", answer, "math", str(index), index, "validation"
        )

    rows = [row(i, answer) for i, answer in enumerate(["1/2", "0.5", "\\frac{1}{2}", "3", "3"])]
    with ScoringPool(1) as pool:
        share, answer = constant_of_rows(rows, pool)
    assert share == 0.6
    assert answer in ("1/2", "0.5", "\\frac{1}{2}")


def test_a_row_may_name_its_rewarder_or_its_domain() -> None:
    made = recipe()
    assert rewarder_of(Problem("p", "q", "a"), made) == "math"
    assert rewarder_of(Problem("p", "q", "a", domain="physics"), made) == "physics"
    assert rewarder_of(Problem("p", "q", "a", domain="physics", reward="choice"), made) == "choice"


def test_build_measures_with_the_recipes_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from innovator_rl.data import difficulty

    model = FakeModel()
    monkeypatch.setattr(difficulty, "make_generator", lambda *_: model)
    (tmp_path / "sample.jsonl").write_text(
        "".join(json.dumps({"question": p.question, "answer": p.answer}) + "\n" for p in sums(8))
    )
    made = recipe(keep=[0.2, 0.8]).model_copy(update={"checks": recipe().checks.model_copy(update={"gold": False})})
    report = build(made, tmp_path, tmp_path / "out", workers=1)
    assert sum(report.rows.values()) == 3
    assert "| difficulty | 8 | 3 |" in (tmp_path / "out/r/README.md").read_text()


class FakeEngine:
    """Stand in for `vllm.LLM`: it gives every prompt the responses "1"."""

    made: ClassVar[list[dict[str, Any]]] = []
    calls: ClassVar[list[int]] = []

    def __init__(self, model: str, **settings: Any) -> None:
        self.made.append(settings)
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=100))

    def get_tokenizer(self) -> Any:
        class Tokenizer:
            def apply_chat_template(self, prompt: list[Any], **_: Any) -> str:
                return str(prompt[0]["content"])

            def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
                return {"input_ids": list(range(len(text)))}

        return Tokenizer()

    def generate(self, prompts: list[Any], params: Any, **_: Any) -> list[Any]:
        self.calls.append(len(prompts))
        output = SimpleNamespace(text="1", finish_reason="stop")
        return [SimpleNamespace(outputs=[output] * params.n) for _ in prompts]


@pytest.mark.parametrize(
    ("where", "asked", "dtype", "calls"),
    [("cpu", None, "float32", [16, 15, 8]), ("cpu", "bfloat16", "bfloat16", [16, 15, 8]), ("cuda", None, "auto", [39])],
)
def test_vllm_computes_in_a_format_that_is_fast_here_and_reports_often(
    monkeypatch: pytest.MonkeyPatch, where: str, asked: str | None, dtype: str, calls: list[int]
) -> None:
    """Checkpoints are in bfloat16, which a CPU without its instructions computes thirty times as slowly."""
    library = SimpleNamespace(LLM=FakeEngine, SamplingParams=lambda **words: SimpleNamespace(**words))
    monkeypatch.setitem(sys.modules, "vllm", library)
    monkeypatch.setattr("innovator_rl.platform.private_folder.use_private_folder", lambda: None)
    monkeypatch.setattr("innovator_rl.platform.environment", lambda *_, **__: {})
    monkeypatch.setenv("INNOVATOR_PLATFORM", where)
    monkeypatch.setattr(FakeEngine, "made", [])
    monkeypatch.setattr(FakeEngine, "calls", [])
    prompts = [[{"role": "user", "content": "x" * (97 if n == 20 else 5)}] for n in range(40)]
    found = list(VllmGenerator("smollm2-135m", dtype=asked).answers(prompts, Sampling(8, 1.0, 10)))
    assert [settings["dtype"] for settings in FakeEngine.made] == [dtype]
    assert FakeEngine.calls == calls
    assert found[20] == "prompt_too_long"
    assert all(len(answers) == 8 for n, answers in enumerate(found) if n != 20)
