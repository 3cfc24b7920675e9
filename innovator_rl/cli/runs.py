"""List, inspect, stop and export runs.

    innovator runs list
    innovator runs show demo                              # status, last step, validation, domains, a sample
    innovator runs show demo --step 12                    # the groups of one step
    innovator runs show demo --step 12 --group UID        # one prompt and all its responses
    innovator runs list --address http://10.0.0.1:8265    # with the jobs of a cluster
    innovator runs top demo                               # watch a live run on the terminal
    innovator runs stop demo                              # after the current step, with a checkpoint
    innovator runs export demo --out rollouts.parquet     # every response, for other tools
    innovator runs export-model demo models/demo          # the trained model, as a Hugging Face folder

All commands but `stop` only read files: they work while a run trains, after it ended and after it crashed. With the
address of a cluster, `list`, `show` and `stop` also know the jobs that run, wait or failed there.
"""

import contextlib
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from innovator_rl.cli import runs_observe
from innovator_rl.cli.application import make_app
from innovator_rl.cli.parameters import AsJson, ClusterAddress, Kind, RunName, RunsDir, Step
from innovator_rl.cli.runs_export_model import export_model
from innovator_rl.errors import UserError
from innovator_rl.recorded_run import find_run, is_run
from innovator_rl.rollouts.domain_figures import domain_figures
from innovator_rl.rollouts.store import Store
from innovator_rl.runs.files import dump_json, duration
from innovator_rl.runs.progress import domains_text, groups_text, percent
from innovator_rl.runs.run_dir import RunDir, RunState, find_runs_dir, list_runs
from innovator_rl.runs.summary import step_figures

app = make_app("List, inspect, stop and export runs.")

TEXT_LIMIT = 1200
REASONS = 5


@app.command("list")
def list_all(as_json: AsJson = False, address: ClusterAddress = None, runs_dir: RunsDir = "runs") -> None:
    """List the runs with their status, newest first."""
    folder = find_runs_dir(runs_dir)
    runs = list_runs(folder)
    rows = [_facts(run, run.state()) for run in runs]
    if address:
        from innovator_rl.cli.runs_cluster import with_cluster

        rows = with_cluster(rows, address)
    if as_json:
        typer.echo(dump_json(rows, indent=1))
        return
    if not rows:
        typer.echo(f"no runs in {folder}")
        return
    table = [("RUN", "STATUS", "STEP", "ATTEMPT", "HEARTBEAT", "REWARD", "")]
    for row in rows:
        reward = "" if row["reward"] is None else f"{row['reward']:.3f}"
        age = "" if row["heartbeat_age"] is None else f"{duration(row['heartbeat_age'])} ago"
        what = row["phase"] if row["status"] in ("starting", "running") and row["phase"] else _last_line(row["detail"])
        table.append((row["name"], row["status"], row["steps"], str(row["attempt"]), age, reward, what))
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]) - 1)]
    for line in table:
        cells = [f"{cell:<{width}}" for cell, width in zip(line, widths, strict=False)]
        typer.echo("  ".join([*cells, line[-1]]).rstrip())


@app.command("show")
def show(
    name: RunName,
    step: Annotated[int | None, typer.Option("--step", help="Training step; the last recorded one if absent.")] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="A prompt_uid of the step: show all its responses.")
    ] = None,
    kind: Annotated[Kind, typer.Option("--kind", help="Which responses.")] = "train",
    as_json: AsJson = False,
    address: ClusterAddress = None,
    runs_dir: RunsDir = "runs",
) -> None:
    """Show a run, the groups of a step, or the responses of a group."""
    if address and not is_run(name, runs_dir):
        from innovator_rl.cli.runs_cluster import show_job

        show_job(name, address, as_json)
        return
    run = _find(name, runs_dir)
    store = Store(run.path)
    if group is not None or step is not None:
        chosen = _step(store, step, kind, run.name)
        rows = store.groups(chosen, kind) if group is None else store.group(chosen, group, kind)
        if not rows:
            raise UserError(f"--group {group}: no such prompt in step {chosen}; `--step {chosen}` lists them")
        shown = _group_lines(rows) if group is not None else _step_lines(rows, chosen)
        typer.echo(dump_json(rows, indent=1) if as_json else "\n".join(shown))
        return
    facts = _overview(run, store)
    typer.echo(dump_json(facts, indent=1) if as_json else "\n".join(_overview_lines(run, store, facts)))


@app.command("top")
def top(
    name: RunName,
    every: Annotated[float, typer.Option("--every", min=0.2, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show it once.")] = False,
    runs_dir: RunsDir = "runs",
) -> None:
    """Watch a run on the terminal: state, curves, newest steps and responses."""
    from rich.console import Console

    from innovator_rl.run_screen import watch

    run = _find(name, runs_dir)
    with contextlib.suppress(KeyboardInterrupt):
        watch(run, Console(), every, 1 if once else None)


@app.command("stop")
def stop(
    name: RunName,
    address: ClusterAddress = None,
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait until it has ended.")] = 0.0,
    runs_dir: RunsDir = "runs",
) -> None:
    """Ask a run to end after its current step, with a checkpoint."""
    from innovator_rl.jobs.stop import stop_job, stop_run, wait_until_over

    if address and not is_run(name, runs_dir):
        typer.echo(f"{name}: {stop_job(name, address)}")
        return
    run = _find(name, runs_dir)
    typer.echo(f"{run.name}: {stop_run(run, address)}")
    if wait > 0:
        state = wait_until_over(run, wait)
        typer.echo(f"{run.name}: {state.status} at step {state.step}")
        raise typer.Exit(1 if state.live else 0)


@app.command("export")
def export(
    name: RunName,
    out: Annotated[Path, typer.Option("--out", help="File to write, .parquet or .jsonl.")],
    step: Step = None,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Which responses; both if absent.")] = None,
    runs_dir: RunsDir = "runs",
) -> None:
    """Write all recorded responses, with scores and advantages, to one file."""
    if out.suffix not in (".parquet", ".jsonl"):
        raise UserError(f"--out {out}: the name must end in .parquet or .jsonl")
    run = _find(name, runs_dir)
    count = Store(run.path).export(out, step, kind)
    typer.echo(f"{count} responses of {run.name} in {out}")


app.command("export-model")(export_model)
app.command("metrics")(runs_observe.metrics)
app.command("trace")(runs_observe.trace)
app.command("spans")(runs_observe.spans)


def _find(name: str, runs_dir: str) -> RunDir:
    return RunDir(find_run(name, runs_dir))


def _step(store: Store, step: int | None, kind: str, name: str) -> int:
    steps = store.steps(kind)
    if not steps:
        raise UserError(f"run {name!r} has recorded no {kind} responses yet")
    if step is not None and step not in steps:
        raise UserError(f"--step {step}: recorded {kind} steps of {name!r} are {steps[0]} to {steps[-1]}")
    return steps[-1] if step is None else step


def _facts(run: RunDir, state: RunState) -> dict[str, Any]:
    metrics = run.metrics()
    rewards = [step_figures(row).get("reward") for row in metrics]
    return {
        "name": run.name,
        "path": str(run.path),
        "status": state.status,
        "detail": state.detail,
        "step": state.step,
        "total_steps": state.total_steps,
        "steps": f"{state.step}/{state.total_steps or '?'}",
        "phase": state.phase,
        "attempt": state.attempt,
        "heartbeat_age": state.heartbeat_age if math.isfinite(state.heartbeat_age) else None,
        "created": state.record.get("created"),
        "host": state.record.get("host"),
        "pid": state.record.get("pid"),
        "ray_submission_id": state.record.get("ray_submission_id"),
        "reward": next((reward for reward in reversed(rewards) if reward is not None), None),
    }


def _overview(run: RunDir, store: Store) -> dict[str, Any]:
    metrics = run.metrics()
    train, validation = store.steps(), store.steps("validation")
    facts = _facts(run, run.state())
    facts["last_metrics"] = metrics[-1] if metrics else {}
    facts["last_train"] = {"step": train[-1], "domains": domain_figures(store, train[-1])} if train else None
    facts["reasons"] = _reasons(store, train[-1]) if train else {}
    facts["dropped"] = store.dropped(train[-1]) if train else []
    facts["last_validation"] = (
        {"step": validation[-1], "domains": domain_figures(store, validation[-1], "validation")} if validation else None
    )
    return facts


def _overview_lines(run: RunDir, store: Store, facts: dict[str, Any]) -> list[str]:
    state = run.state()
    lines = [f"{run.name}: {state.status}" + (f" ({_last_line(state.detail)})" if state.detail else "")]
    if state.live:
        lines[0] += f", {state.phase} for {duration(state.phase_age)}"
    lines.append(f"step       {facts['steps']}, attempt {state.attempt}, on {facts['host']} (process {facts['pid']})")
    lines += [f"           {line}" for line in _attempt_lines(state.record)]
    if facts["last_train"]:
        lines.append(f"correct    step {facts['last_train']['step']}: {domains_text(facts['last_train']['domains'])}")
    if facts["last_validation"]:
        figures = facts["last_validation"]
        lines.append(f"validation step {figures['step']}: {domains_text(figures['domains'])}")
    lines += _reason_lines(facts["reasons"])
    counts = {row["drop_reason"]: row["groups"] for row in facts["dropped"]}
    if counts and None not in counts:
        kept = counts.pop("", 0)
        lines.append(f"groups     {groups_text({'groups_kept': kept, 'groups_dropped': counts})}")
    metrics = [(k, v) for k, v in facts["last_metrics"].items() if isinstance(v, (int, float)) and "/" in k]
    if metrics:
        lines.append(f"metrics    step {facts['last_metrics'].get('step')}")
        lines += [f"           {name:<44} {value:.6g}" for name, value in sorted(metrics)]
    steps = store.steps()
    if steps:
        sample = store.rollouts(steps[-1], with_text=True, order_by="reward", descending=True, limit=1)
        lines += [
            "",
            f"a response of step {steps[-1]}, the best rewarded:",
            *_response_lines(sample[0], with_prompt=True),
        ]
    return lines


def _reasons(store: Store, step: int) -> dict[str, dict[str, int]]:
    """Return data source -> reason -> responses of one step, the most frequent reason first."""
    found: dict[str, dict[str, int]] = {}
    for row in sorted(store.counts(by=["data_source", "reason"], steps=step), key=lambda row: -row["responses"]):
        found.setdefault(row["data_source"] or "?", {})[row["reason"] or "none"] = row["responses"]
    return found


def _reason_lines(reasons: dict[str, dict[str, int]]) -> list[str]:
    """Show why responses got their reward, by data source."""
    shown = []
    for number, (source, counts) in enumerate(sorted(reasons.items())):
        total = sum(counts.values())
        shares = ", ".join(f"{reason} {percent(count / total)}" for reason, count in list(counts.items())[:REASONS])
        shown.append(f"{'reasons' if number == 0 else '':<10} {source}: {shares}")
    return shown


def _attempt_lines(record: dict[str, Any]) -> list[str]:
    attempts = record.get("attempts", [])
    if len(attempts) < 2:
        return []
    return [
        f"attempt {a['attempt']}: from step {a['resumed_from_step']}, {a['status']}"
        + (f" ({_last_line(a['cause'])})" if a.get("cause") else "")
        for a in attempts
    ]


def _step_lines(groups: list[dict[str, Any]], step: int) -> list[str]:
    lines = [
        f"step {step}: {len(groups)} prompts",
        "PROMPT_UID                            DOMAIN        CORRECT  REWARD  TOKENS  STATUS",
    ]
    for row in groups:
        status = {None: "", "": "kept"}.get(row["drop_reason"], f"dropped: {row['drop_reason']}")
        reward = "" if row["reward_mean"] is None else f"{row['reward_mean']:.3f}"
        tokens = "" if row["response_tokens_mean"] is None else f"{row['response_tokens_mean']:.0f}"
        correct = f"{row['correct']}/{row['samples']}"
        lines.append(
            f"{row['prompt_uid']:<36}  {row['domain'] or '':<12}  {correct:>7}  {reward:>6}  {tokens:>6}  {status}"
        )
    return lines


def _group_lines(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["prompt:", _short(rows[0].get("prompt")), f"answer: {_short(rows[0].get('answer'))}"]
    right = sum(bool(row["correct"]) for row in rows)
    lines.append(f"{right} of {len(rows)} correct ({percent(right / len(rows))})")
    for row in rows:
        lines += ["", *_response_lines(row)]
    return lines


def _response_lines(row: dict[str, Any], with_prompt: bool = False) -> list[str]:
    head = [f"#{row['sample']}"]
    head += [f"{name} {row[name]:.3f}" for name in ("reward", "advantage") if row.get(name) is not None]
    head += [f"{name} {row[name]}" for name in ("reason", "extracted", "finish_reason") if row.get(name)]
    if row.get("response_tokens") is not None:
        head.append(f"{row['response_tokens']} tokens")
    lines = [f"prompt: {_short(row.get('prompt'))}"] if with_prompt else []
    lines.append(" | ".join(head))
    if row.get("terms"):
        lines.append(
            "  "
            + ", ".join(f"{term['name']} {term['value']:.3f}" for term in row["terms"] if term["value"] is not None)
        )
    if row.get("error"):
        lines.append(f"  error: {_short(row['error'])}")
    return [*lines, *(f"  {line}" for line in _short(row.get("response")).splitlines())]


def _last_line(cause: str) -> str:
    """Return the last line of a cause.

    The last line of a remote traceback is the exception itself.
    """
    return (cause.strip().splitlines() or [""])[-1].strip()


def _short(text: str | None) -> str:
    """Return model output that is safe for a terminal.

    It is cut and has no control characters.
    """
    plain = "".join(
        char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text or ""
    )
    return plain if len(plain) <= TEXT_LIMIT else f"{plain[:TEXT_LIMIT]}... ({len(plain) - TEXT_LIMIT} characters more)"
