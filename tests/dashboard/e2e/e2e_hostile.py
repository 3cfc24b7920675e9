"""A run recorded through the real recorder, whose every text tries something."""

from __future__ import annotations

import json
from pathlib import Path

from innovator_rl.rollouts.recorder import Recorder
from innovator_rl.rollouts.schema import RolloutRow, UpdateRow
from innovator_rl.runs.run_dir import RunDir

SCRIPT = (
    "<script>window.hacked = 1; alert(1)</script>"
    '<img src=x onerror="window.hacked = 1"><svg onload="window.hacked = 1"></svg>'
)
LINKS = (
    "[a](javascript:window.hacked=1) [b](data:text/html,<script>1</script>) "
    "![c](http://127.0.0.1:9/beacon.png) <a href='javascript:1'>d</a> [e](vbscript:1)"
)
TEX = (
    r"$\href{javascript:window.hacked=1}{x}$ $\htmlStyle{background:url(http://127.0.0.1:9/)}{y}$ "
    r"\(\unicode{x}\) $\begin{toString}y\end{toString}$ $\def\x{\x\x}\x$ $\frac{1}{2$"
)
INVISIBLE = "safe\u202egnp.exe\u202c zero\u200bwidth \x00\x07\x1b[31mred tag\U000e0041 end"
DEEP = (
    ">" * 3000
    + " deep\n"
    + "\n".join("  " * i + "- item" for i in range(400))
    + "\n$"
    + "{" * 4000
    + "$\n$"
    + r"\frac{" * 3000
    + "$"
)
MARKS = "**" * 20_000 + "`" * 19_999 + "[" * 20_000 + "_a" * 10_000 + "$" * 9_999 + "<think>" * 2_000
TABLE = "|" + "a|" * 3000 + "\n|" + "-|" * 3000 + "\n|" + "b|" * 3000
LONG = "All work and no play. " * 460_000  # 10 MB
TEXTS = (SCRIPT, LINKS, TEX, INVISIBLE, DEEP, MARKS, TABLE, LONG)
UID = "../<b>uid</b>?x=1&y#z"


def write_hostile_run(path: Path) -> None:
    """One step with one group: one response per hostile text."""
    run = RunDir(path)
    attempt = run.open_attempt(total_steps=2)
    recorder = Recorder(path, writer="w", attempt=attempt)
    for sample, text in enumerate(TEXTS):
        recorder.rollout(
            RolloutRow(
                step=1,
                prompt_uid=UID,
                sample=sample,
                prompt_id="p",
                domain=f"<i>{SCRIPT[:40]}</i>",
                data_source="evil",
                rewarder="caption2mol",
                finish_reason="stop",
                response_tokens=3,
                reward=float(sample % 2),
                score_value=float(sample % 2),
                correct=bool(sample % 2),
                outcome="scored",
                reason="<u>reason</u>",
                extracted=SCRIPT,
                terms={SCRIPT: 0.5},
                prompt=SCRIPT + LINKS,
                messages=[{"role": SCRIPT, "content": LINKS + TEX}],
                response=text,
                answer="CCO</text><script>window.hacked=1</script>",
                info=json.dumps({"x": SCRIPT}),
                token_ids=[1, 2, 3],
                rollout_logprobs=[-0.5, -1.0, -7.0],
            )
        )
        recorder.update(
            UpdateRow(
                step=1,
                prompt_uid=UID,
                sample=sample,
                kept=True,
                advantage=1.0,
                ratio=[1.0, 1.3, 0.7],
                clip_side=[0, 1, -1],
                entropy=[0.1, 1.0, 2.0],
                old_logprobs=[-0.5, -0.9, -7.5],
                rollout_logprobs=[-0.5, -1.0, -7.0],
            )
        )
    recorder.close()
    run.write_metrics(1, {"critic/score/mean": 0.5, SCRIPT: 1.0})
    run.finish("finished")


def write_long_run(path: Path) -> None:
    """One response of which every name and value is long and has no space; its text is one endless cursive word."""
    run = RunDir(path)
    attempt = run.open_attempt(total_steps=2)
    recorder = Recorder(path, writer="w", attempt=attempt)
    names = ("domain", "data_source", "rewarder", "reason", "finish_reason", "prompt_id", "error")
    recorder.rollout(
        RolloutRow(
            step=1,
            prompt_uid="u",
            sample=0,
            outcome="scored",
            correct=False,
            reward=0.5,
            extracted="x" * 5_000,
            answer="y" * 5_000,
            prompt="z" * 5_000 + "\u3164" * 20_000,
            response="\u0644" * 20_000 + "\u1b13\u1b44" * 10_000,
            terms={"t" * 2_000: 0.5},
            **dict.fromkeys(names, "n" * 2_000),  # type: ignore[arg-type]
        )
    )
    recorder.close()
    run.write_metrics(1, {"critic/score/mean": 0.5, "m/" + "k" * 2_000: 1.0})
    run.finish("failed", "c" * 2_000)
