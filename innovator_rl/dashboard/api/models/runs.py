"""Model the routes about runs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from innovator_rl.dashboard.api.models.base import Model, Number


class AlertCounts(Model):
    """Alerts by severity, without the silenced ones.

    A severity without alerts is absent.
    """

    error: int = Field(default=0, description="Alerts that make figures or the run wrong.")
    warning: int = Field(default=0, description="Alerts that deserve a look.")
    info: int = Field(default=0, description="Notes.")


class Git(Model):
    """The source revision that a run was started from."""

    revision: str | None = Field(default=None, description="Commit hash.")
    dirty: bool | None = Field(default=None, description="Whether there were uncommitted changes.")


class RayJob(Model):
    """The Ray job of a run."""

    job_id: str | None = Field(description="Ray's job id.")
    submission_id: str | None = Field(description="Ray's submission id.")
    url: str | None = Field(description="The job's page on Ray's dashboard; null where its address is unknown.")


class DomainFigures(Model):
    """Figures of one domain in the newest step."""

    accuracy: Number = Field(description="Share of correct responses among the scored ones.")
    reward: Number = Field(description="Mean reward.")
    responses: Number = Field(description="Number of responses.")
    scored: Number = Field(description="Number of scored responses.")
    correct: Number = Field(description="Number of correct responses.")


class RunRow(Model):
    """One run in the list of runs. A figure is null until it is known."""

    name: str = Field(description="The run's name.")
    status: Literal["starting", "running", "finished", "failed", "stopped", "dead", "unknown"] = Field(
        description="State of the run; `dead` means crashed or without heartbeat, `unknown` without a readable run.json."
    )
    detail: str = Field(description="Why the run has this status.")
    step: int = Field(description="Newest step.")
    total_steps: int | None = Field(description="Number of steps that the run trains for.")
    phase: str = Field(description="Present phase of the step, such as `generating`.")
    phase_seconds: Number = Field(description="Seconds since the phase began, while the run is alive.")
    attempt: int = Field(description="Present attempt, from 1.")
    attempts: int = Field(description="Number of attempts.")
    created: str | None = Field(description="When the run was created.")
    heartbeat: str | None = Field(description="Time of the last heartbeat.")
    heartbeat_age: Number = Field(description="Seconds since the last heartbeat.")
    silent: bool = Field(
        description="Whether the heartbeat is older than the threshold although the run has not ended."
    )
    host: str | None = Field(description="Host of the trainer.")
    pid: int | None = Field(description="Process id of the trainer.")
    git: Git | None = Field(description="Source revision.")
    model: str | None = Field(description="Path or name of the model.")
    ray: RayJob | None = Field(description="Ray job, for runs on a cluster.")
    reward: Number = Field(
        description="Mean reward of all scored responses of the newest step; null where no domain is recorded."
    )
    reward_trained: Number = Field(description="Mean reward of the responses that the newest update was computed from.")
    accuracy: Number = Field(description="Share of correct responses of the newest step, over the scored ones.")
    domains: dict[str, DomainFigures] | None = Field(description="Figures of the newest step by domain.")
    reward_history: list[float] = Field(description="`reward` of the newest 60 steps.")
    reward_trained_history: list[float] = Field(description="`reward_trained` of the newest 60 steps.")
    tokens_per_second: Number = Field(description="Throughput of the newest step.")
    step_seconds: Number = Field(description="Duration of the newest step.")
    seconds_left: Number = Field(description="Estimated seconds until the last step.")
    rows_recorded: int | None = Field(description="Recorded responses; null until the run was opened once.")
    rows_dropped: int = Field(description="Responses that the recorders lost.")
    alerts: AlertCounts | None = Field(description="Alerts by severity; null until the run was opened once.")
    problems: int | None = Field(description="Number of unreadable files; null until the run was opened once.")
    tags: list[str] = Field(description="Its tags.")
    archived: bool = Field(description="Whether it is left out of the list by default.")
    problem: str | None = Field(description="Why run.json or config.yaml cannot be read, or the run cannot be shown.")


class RunList(Model):
    """All runs, newest first."""

    runs_dir: str = Field(description="The first folder of runs.")
    version: str = Field(description="Version of the program.")
    demo: bool = Field(description="Whether synthetic runs are shown.")
    now: str = Field(description="The server's time.")
    rows: list[RunRow] = Field(description="The runs.")
    total: int = Field(description="Number of runs.")
    archived: int = Field(description="Number of archived runs, listed or not.")


class Attempt(Model):
    """One start of a run, as run.json records it."""

    model_config = ConfigDict(extra="allow")

    attempt: int = Field(description="Number of the attempt, from 1.")
    started: str = Field(description="When it started.")
    ended: str | None = Field(description="When it ended; null while it runs.")
    resumed_from_step: int = Field(description="Step of the checkpoint that it resumed from; 0 for none.")
    status: str = Field(description="How it ended, or the present status.")
    cause: str = Field(default="", description="Why it ended.")
    step: int | None = Field(default=None, description="Its newest step.")


class RecordedKind(Model):
    """What is recorded of one kind of rollouts."""

    steps: list[int] = Field(description="Steps with recorded responses.")
    rows: int = Field(description="Number of responses.")
    groups: int = Field(description="Number of groups.")


class Progress(Model):
    """How many responses the full-text index covers."""

    done: int = Field(description="Responses that are read.")
    total: int = Field(description="All responses.")


class IndexState(Model):
    """The state of the run's index."""

    state: Literal["building", "ready"] = Field(description="Whether every recorded step is indexed.")
    rows: int = Field(description="Indexed responses.")
    words: Progress = Field(description="Progress of the full-text index.")
    seconds: Number = Field(description="How long the first indexing took.")
    where: str = Field(description="`run directory`, or `temporary directory` where that is not writable.")
    error: str | None = Field(description="The last error of the indexing thread.")


class FileProblem(Model):
    """A file, or a part of one, that cannot be shown."""

    file: str = Field(description="Path relative to the run directory.")
    why: str = Field(description="What is wrong with it.")
    rows_lost: int | None = Field(description="Number of rows that are missing, where it is known.")


class RunDetail(Model):
    """One run apart from its curves."""

    run: RunRow = Field(description="The run's row in the list of runs.")
    attempts: list[Attempt] = Field(description="The newest 200 attempts, oldest first.")
    config: dict[str, Any] | None = Field(description="The configuration; null where config.yaml cannot be parsed.")
    config_text: str = Field(description="The text of config.yaml.")
    command: list[str] | None = Field(description="The command line.")
    packages: dict[str, str | None] | None = Field(description="Versions of the packages that matter.")
    record: dict[str, RecordedKind] = Field(description="What is recorded, by kind.")
    values: dict[str, list[str]] = Field(description="Values of each column with a filter, and the labels.")
    index: IndexState = Field(description="State of the index.")
    problems: list[FileProblem] = Field(description="Files that cannot be shown.")


class Difference(Model):
    """One key whose values differ between runs."""

    key: str = Field(description="Dotted key.")
    values: list[Any] = Field(description="The value of each run; null where a run lacks the key.")


class Comparison(Model):
    """What differs between 2 to 4 runs."""

    runs: list[str] = Field(description="Names of the runs, in the order of the values below.")
    config: list[Difference] = Field(description="Settings that differ.")
    git: list[str | None] = Field(description="Source revision of each run.")
    packages: list[Difference] = Field(description="Package versions that differ.")


class CurveSeries(Model):
    """The curves of one domain, data source or rewarder, or of all together."""

    name: str = Field(description="`all`, or a name for the value of the column `by`, unlike that of any other series.")
    value: str | None = Field(description="The value as a filter takes it (`-`: empty); null for `all`.")
    points: dict[str, list[Number]] = Field(
        description="One list per figure, as long as `steps`. `reward` and `accuracy` are means over all scored responses, "
        "`reward_trained` and `accuracy_trained` over those that the update was computed from; rewards that are not finite "
        "are counted in `not_finite` and left out. `length` is in tokens over all responses. "
        "`kept`, `pending`, `other` and each drop reason count groups."
    )


class LostMetrics(Model):
    """Metrics of one step that were not finite."""

    step: int = Field(description="The step.")
    metrics: list[str] = Field(description="Their names.")


class SupersededSteps(Model):
    """Steps of one attempt that a later attempt did again, or never reached again."""

    attempt: int = Field(description="The attempt that recorded them.")
    steps: list[int] = Field(description="The steps.")
    responses: int = Field(description="Number of their responses.")


class Curves(Model):
    """Figures by step."""

    kind: str = Field(description="`train` or `validation`.")
    by: str = Field(description="Column of the series.")
    steps: list[int] = Field(description="The steps of every list below.")
    incomplete: list[int] = Field(description="Newest steps whose update is not recorded: their figures are of a part.")
    series: list[CurveSeries] = Field(description="`all` first, then the largest.")
    terms: dict[str, list[Number]] = Field(description="Mean contribution of each term of the reward, largest first.")
    metrics: dict[str, list[Number]] = Field(description="Every number of metrics.jsonl on the same steps.")
    not_finite: list[LostMetrics] = Field(description="Metrics that were NaN or infinite.")
    superseded: list[SupersededSteps] = Field(
        description="Steps that a resumed attempt abandoned; they are left out above."
    )


class ServerHealth(Model):
    """Whether the server responds, and what it uses."""

    ok: bool = Field(description="Always true.")
    version: str = Field(description="Version of the program.")
    rss_mb: float = Field(description="Resident memory in MiB.")
    open_runs: int = Field(description="Runs with an open index.")
