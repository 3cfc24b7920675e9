"""The plugin kit: what it writes passes its own check, and each way a reward can be wrong is found with its fix."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from innovator_rl.cli.reward import app
from innovator_rl.errors import UserError
from innovator_rl.scoring import ScoringPool, registry, right
from innovator_rl.scoring.authoring import adversarial, check, validate
from innovator_rl.scoring.authoring.golden import Case, find, read


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; what a command puts on `sys.path` is taken off again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def write(folder: Path, code: str, cases: list[dict[str, object]]) -> str:
    (folder / "mine.py").write_text(code)
    (folder / "golden.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))
    return "mine.py:score"


CASES: list[dict[str, object]] = [
    *({"case": "full", "prompt": "2 + 2 or so?", "response": f"It is {n}", "answer": str(n)} for n in (4, 57, 681)),
    *({"case": "zero", "response": f"It is {n}", "answer": str(n + 1)} for n in (3, 56, 680)),
    *({"case": "malformed", "response": text, "answer": "4"} for text in ("none", "?", "It is")),
]


def test_what_new_writes_is_ready(folder: Path) -> None:
    result = CliRunner().invoke(app, ["new", "solubility"])
    assert result.exit_code == 0, result.output
    checked = CliRunner().invoke(app, ["check", "solubility", "--json"])
    assert checked.exit_code == 0, checked.output
    report = json.loads(checked.stdout)
    assert (report["result"], report["problems"]) == ("ready", [])
    assert report["golden"] == {"full": 3, "zero": 3, "malformed": 3, "abstain": 1}
    assert report["probes"] > 60
    assert set(report["latency_ms"]) == {"p50", "p95", "p99"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=folder / "solubility",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    for name in ("Solubility", "math", "solubility"):
        with pytest.raises(UserError, match=r"reward name|is installed|exists"):
            app(["new", name], standalone_mode=False)


def test_a_reward_that_searches_the_text_is_found_out(folder: Path) -> None:
    code = "def score(response, answer):\n    return answer in response\n"
    report = check(write(folder, code, CASES))
    parts = {problem.part for problem in report.problems if problem.severity == "fail"}
    assert {"probe gold inside the reasoning", "probe hedging", "probe many answers", "probe empty reference"} <= parts
    assert {"probe negation", "probe aside"} <= parts
    assert not report.ready
    assert "before the last </think>" in report.text()
    assert "malformed" not in " ".join(parts), "the golden cases themselves hold"


CARELESS = """
import random, subprocess, sys

calls = []

def score(response, answer):
    subprocess.Popen(["sleep", "20"], start_new_session=True) if len(calls) == 0 else None
    calls.append(response)
    if response.startswith("{"):
        raise ValueError("cannot parse")
    text = response[7:-1] if "open(" in response else response.rpartition(" ")[2]
    try:
        value = eval(text) if "open" in text or text.isdigit() else None
    except Exception:
        value = None
    return float(str(value) == answer) + 0.001 * (len(calls) % 7) + 0.001 * random.random()
"""


def test_a_careless_reward_is_found_out(folder: Path) -> None:
    """Evaluates answers, raises on odd ones, keeps state, rolls dice, and leaves a process behind."""
    report = check(write(folder, CARELESS, CASES))
    seen = {problem.part: problem.seen for problem in report.problems if problem.severity == "fail"}
    assert "wrote a file" in seen["probe"]
    assert any(part.startswith("determinism") for part in seen)
    assert seen["probe open braces"] == "raised"
    assert "sleep is still running" in seen["processes"]
    import psutil

    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["sleep", "20"]:
            process.kill()


def test_what_cannot_be_loaded_or_has_no_cases_is_said(folder: Path) -> None:
    (folder / "mine.py").write_text("def score(response, solution):\n    return True\n")
    with pytest.raises(UserError, match=r"^rewarder 'score' requires 'solution'; .* data_source, responses$"):
        check("mine.py:score")
    with pytest.raises(UserError, match=r"^rewarder 'mine\.py:scare': .* has no 'scare'; it has score$"):
        check("mine.py:scare")
    (folder / "mine.py").write_text("import absent_library\n")
    (problem,) = check("mine.py:score").problems
    assert (problem.part, problem.fix) == ("load", "make it importable here")
    ready = "class Served:\n    def ready(self):\n        return 'no server'\n    def __call__(self, response):\n        return 1\n"
    (folder / "mine.py").write_text(ready)
    (problem,) = check("mine.py:Served").problems
    assert (problem.part, problem.seen, problem.fix) == ("ready", "no server", "provide what it reports to be missing")
    (folder / "mine.py").write_text("def score(response):\n    return False\n")
    (problem,) = check("mine.py:score").problems
    assert "write golden.jsonl" in problem.fix
    with pytest.raises(UserError, match=r"file absent\.py not found"):
        check("absent.py:score")


def test_a_file_or_folder_where_a_name_belongs_says_what_to_write(folder: Path) -> None:
    (folder / "mine.py").write_text("import os\n\ndef _own(): ...\n\ndef score(response): ...\n\nclass Near: ...\n")
    with pytest.raises(UserError, match=r"expected mine\.py:NAME with .*; it has score, Near$"):
        registry.require_known("mine.py")
    with pytest.raises(UserError, match=r"file absent\.py not found"):
        registry.require_known("absent.py")
    CliRunner().invoke(app, ["new", "solubility"])
    written = r"run `pip install -e solubility` and write solubility, or write (solubility/.*/reward\.py:Solubility)$"
    with pytest.raises(UserError, match=written) as error:
        registry.require_known("solubility")
    registry.require_known(str(error.value).rpartition(" ")[2])
    (folder / "plain").mkdir()
    with pytest.raises(UserError, match="unknown rewarder 'plain'"):
        registry.require_known("plain")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "not JSON"),
        ('{"case": "fine", "response": ""}', "'fine', expected one of full"),
        ('{"case": "full", "response": "", "gold": ""}', "unknown fields gold"),
        ('{"case": "full", "answer": "4"}', "`response` is required"),
        ('{"case": "full", "response": "", "value": 1}', r"a range \[low, high\]"),
        ('{"case": ["full"], "response": ""}', r"`case` = \['full'\]: a list of cases needs `responses`"),
        ('{"case": {}, "response": ""}', r"`case` is \{\}, expected one of full"),
        ('{"case": "full", "response": 3}', "`response` = 3: must be text"),
        ('{"case": ["full", "zero"], "responses": ["3", 3]}', "`response` = 3: must be text"),
        ('{"case": "full", "response": "3", "info": "x"}', "`info` = 'x': must be an object"),
    ],
)
def test_a_golden_file_names_its_wrong_line(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "golden.jsonl"
    path.write_text('{"case": "full", "response": "4"}\n' + line + "\n")
    with pytest.raises(UserError, match=f"golden.jsonl:2.*{complaint}"):
        read(path)


def test_a_golden_answer_is_read_as_a_data_set_reads_it(tmp_path: Path) -> None:
    from innovator_rl.scoring.api import answer_text

    answers = [4, 0.5, True, None, ["µ", 1], {"a": 1}, " 4 "]
    path = tmp_path / "golden.jsonl"
    path.write_text("".join(json.dumps({"case": "full", "response": "4", "answer": it}) + "\n" for it in answers))
    read_as = [case.request("x").answer for case in read(path)]
    assert read_as == ["4", "0.5", "True", "", '["µ", 1]', '{"a": 1}', "4"]
    assert read_as == [answer_text(it) for it in answers]


def test_golden_cases_lie_beside_the_module_or_above(tmp_path: Path) -> None:
    inner = tmp_path / "package" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "golden.jsonl").touch()
    for package in (inner, inner.parent):
        (package / "__init__.py").touch()
    assert find("mine", inner / "mine.py") == tmp_path / "golden.jsonl", "the folder of the package counts as well"
    (tmp_path / "package" / "golden").mkdir()
    named = tmp_path / "package" / "golden" / "mine.jsonl"
    named.touch()
    assert find("mine", inner / "mine.py") == named
    assert find("other", tmp_path / "elsewhere" / "other.py") is None


def test_expectations_of_a_case() -> None:
    case = Case("full", 1, {"response": "4"}, (0.5, 0.9), "partial", "4")
    assert list(case.faults(right("5"))) == [
        "value 1, expected 0.5 to 0.9",
        "reason correct, expected partial",
        "extracted '5', expected '4'",
    ]


def test_watch_repeats_after_a_change(folder: Path) -> None:
    file = folder / "mine.py"
    file.write_text("a = 1\n")
    runs: list[str] = []

    def run() -> None:
        runs.append(file.read_text())
        file.write_text(f"a = {len(runs) + 1}\n")

    validate.watch(lambda: [file], run, rounds=3)
    assert runs == ["a = 1\n", "a = 2\n", "a = 3\n"]
    assert file in validate.watched("mine.py:score", None)
    assert any(path.name == "physics.py" for path in validate.watched("physics", None))


PARAMETERS = """
class Near:
    def __init__(self, tolerance: float = 0.0, unit: str = "m", timeout_seconds: float = 0.0):
        self.tolerance, self.unit = tolerance, unit

    def __call__(self, response, answer):
        return response.endswith(self.unit) and abs(float(response[:-1]) - float(answer)) <= self.tolerance
"""


def test_parameters_are_typed_and_named(folder: Path) -> None:
    (folder / "near.py").write_text(PARAMETERS)
    loose = registry.load("near.py:Near(tolerance=0.5,unit='s')", {"timeout_seconds": 1.0})
    assert loose("4.4s", "4")
    assert not registry.load("near.py:Near")("4.4m", "4")
    for name, complaint in (
        ("near.py:Near(tolerance='big')", "tolerance='big' must be float$"),
        ("near.py:Near(tolerence=1)", "unknown parameter 'tolerence'"),
        ("near.py:Near(1)", "write parameters as"),
        ("near.py:Near(tolerance=open('x'))", "write parameters as"),
    ):
        with pytest.raises(UserError, match=complaint):
            registry.load(name)
    from innovator_rl.scoring import ScoreRequest

    with ScoringPool(1, 5, 512) as pool:
        score = pool.score(ScoreRequest("0.5 * near.py:Near(tolerance=1,unit='s') + math", "5s", "5"))
        assert score.terms["Near"] == 0.5


def test_a_reward_for_form_may_like_any_content(folder: Path) -> None:
    code = "def score(response):\n    return 0 < len(response) < 200\n"
    cases = [
        *({"case": "full", "response": text} for text in ("ab", "cd", "It is either 4 or 5.")),
        *({"case": "zero", "response": "x" * (200 + n)} for n in range(3)),
        *({"case": "malformed", "response": "" * n} for n in range(3)),
    ]
    report = check(write(folder, code, cases))
    assert report.ready, report.text()


def test_hedges_are_variations_of_the_right_response() -> None:
    form = adversarial._form
    assert form("Answer: 203.9", "Answer: 2040") == ("Answer: ", "203.9", "2040", "")
    assert form("The answer is (A).", "The answer is (C).") == ("The answer is (", "A", "C", ").")
    assert form("\\boxed{\\frac{x}{2}}", "\\boxed{x}") == ("\\boxed{", "\\frac{x}{2}", "x", "}")
    assert form("True", "False") == ("", "True", "False", "")
    assert form("\\boxed{C}", "B") is None
    assert form("```python\n1\n```", "```python\n2\n```") is None
