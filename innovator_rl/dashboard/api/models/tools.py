"""Model the routes of molecules, step differences, rescoring, labels and SQL."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from innovator_rl.dashboard.api.models.base import Kind, Model, Number, ResponseKey


class Molecule(Model):
    """One molecule."""

    input: str = Field(description="The text, as SMILES or SELFIES.")
    smiles: str | None = Field(description="Canonical SMILES.")
    valid: bool = Field(description="Whether it can be read.")
    error: str | None = Field(description="Why it cannot be read.")
    formula: str | None = Field(description="Molecular formula.")
    weight: Number = Field(description="Exact molecular weight in g/mol.")


class Similarity(Model):
    """Tanimoto similarities of three fingerprints, and the size of the common part."""

    morgan: float = Field(description="Morgan fingerprint, radius 2.")
    rdkit: float = Field(description="RDKit fingerprint.")
    maccs: float = Field(description="MACCS keys.")
    common_atoms: int = Field(description="Atoms of the maximum common substructure.")


class MoleculeComparison(Model):
    """Two molecules compared."""

    predicted: Molecule | None = Field(description="The predicted molecule.")
    gold: Molecule | None = Field(description="The reference molecule.")
    same: bool | None = Field(description="Whether the canonical SMILES are equal; null unless both are valid.")
    similarity: Similarity | None = Field(description="Similarity; null unless both are valid.")
    common_smarts: str | None = Field(description="The common part; null where there is none or it took too long.")
    svg: str = Field(description="Address of the picture.")


class ComparedSteps(Model):
    """One side of a step difference."""

    run: str = Field(description="Name of the run.")
    step: str = Field(description="The step or range of steps.")
    prompts: int = Field(description="Number of prompts.")


class GroupResult(Model):
    """How one prompt went on one side."""

    step: int = Field(description="Step of the newest group in the range.")
    uid: str = Field(description="The group's prompt_uid.")
    correct: int = Field(description="Correct responses.")
    samples: int = Field(description="Number of responses.")
    reward_mean: Number = Field(default=None, description="Mean reward.")


class ChangedPrompt(Model):
    """One prompt that is newly solved or newly lost."""

    prompt_id: str = Field(description="Identifies the prompt.")
    domain: str | None = Field(description="Its domain.")
    before: GroupResult = Field(alias="from", description="Its group on the first side.")
    after: GroupResult = Field(alias="to", description="Its group on the second side.")
    preview: str | None = Field(description="Beginning of the prompt.")


class ChangeCounts(Model):
    """Prompts by what changed."""

    newly_solved: int = Field(description="Solved on the second side only.")
    newly_lost: int = Field(description="Solved on the first side only.")
    still_solved: int = Field(description="Solved on both sides.")
    still_unsolved: int = Field(description="Solved on neither side.")


class DomainChange(Model):
    """Changes in one domain."""

    domain: str = Field(description="The domain, or `none`.")
    newly_solved: int = Field(description="Prompts solved on the second side only.")
    newly_lost: int = Field(description="Prompts solved on the first side only.")
    common: int = Field(description="Prompts on both sides.")


class ComparedStepLists(Model):
    """The steps whose groups were compared."""

    before: list[int] = Field(alias="from", description="Steps of the first side.")
    after: list[int] = Field(alias="to", description="Steps of the second side.")


class StepDiff(Model):
    """What changed between two steps or two runs."""

    before: ComparedSteps = Field(alias="from", description="The first side.")
    after: ComparedSteps = Field(alias="to", description="The second side.")
    common: int = Field(description="Prompts on both sides.")
    rule: str = Field(description="When a prompt counts as solved.")
    counts: ChangeCounts = Field(description="All common prompts by what changed.")
    domains: list[DomainChange] = Field(description="Changes by domain.")
    newly_solved: list[ChangedPrompt] = Field(description="At most 200 prompts, the biggest change first.")
    newly_lost: list[ChangedPrompt] = Field(description="At most 200 prompts, the biggest change first.")
    steps_compared: ComparedStepLists = Field(description="The steps of both sides.")


class Rewarders(Model):
    """The installed rewarders."""

    rows: list[str] = Field(description="Their names.")


class RecordedScore(Model):
    """A score as it was recorded."""

    value: Number = Field(description="Value.")
    correct: bool | None = Field(description="Whether the answer is correct.")
    outcome: str | None = Field(description="`scored`, `abstained` or `error`.")
    reason: str | None = Field(description="Reason code.")
    extracted: str | None = Field(description="The answer that the rewarder found.")


class NewScore(RecordedScore):
    """A score computed now."""

    outcome: str | None = Field(description="As recorded scores, or `skipped` for a response that was not generated.")
    reason: str | None = Field(
        description="Reason code; `not_generated`, `damaged_file` or `unknown_rewarder` where there is no score."
    )
    seconds: float = Field(description="Duration of the scoring.")
    terms: dict[str, Any] = Field(description="Parts of the score.")


class RescoredRow(ResponseKey):
    """One response with its recorded and its new score."""

    kind: Kind = Field(description="`train` or `validation`.")
    rewarder: str | None = Field(description="The rewarder of the new score.")
    old: RecordedScore = Field(description="The recorded score.")
    new: NewScore = Field(description="The new score.")
    changed: bool = Field(description="Whether `correct`, `outcome`, `reason` or the value differ.")


class RescoreSummary(Model):
    """All rescored responses together."""

    rows: int = Field(description="Number of responses.")
    changed: int = Field(description="Responses whose score changed.")
    newly_correct: int = Field(description="Responses that are correct only now.")
    newly_wrong: int = Field(description="Responses that were correct only before.")
    mean_old: Number = Field(description="Mean recorded value.")
    mean_new: Number = Field(description="Mean new value.")
    skipped: int = Field(description="Responses that were not generated.")
    errors: int = Field(description="Responses that could not be scored.")


class Rescored(Model):
    """Recorded responses scored again."""

    rows: list[RescoredRow] = Field(description="The responses, in the order of the request.")
    summary: RescoreSummary = Field(description="All together.")
    rewarders: list[str] = Field(description="Names of the installed rewarders.")


class Label(ResponseKey):
    """One label of a response."""

    kind: Kind = Field(description="`train` or `validation`.")
    label: str = Field(description="The label, at most 40 characters.")
    note: str = Field(description="A note, at most 2,000 characters.")
    time: str | None = Field(description="When it was added.")
    author: str = Field(default="", description="Who gave it; empty where that was not stated.")


class Tags(Model):
    """The tags of a run."""

    tags: list[str] = Field(description="Its tags.")
    archived: bool = Field(description="Whether it is left out of the list of runs.")


class LabelList(Model):
    """Labels of a run or of one response."""

    rows: list[Label] = Field(description="The labels, oldest first.")
    total: int = Field(description="Number of labels.")
    names: list[str] = Field(description="Every label name of the run.")


class SqlColumn(Model):
    """One column of a table."""

    name: str = Field(description="Name.")
    type: str = Field(description="DuckDB type.")


class SqlTable(Model):
    """One table of the SQL console."""

    name: str = Field(description="Name.")
    columns: list[SqlColumn] = Field(description="Columns.")


class SqlHelp(Model):
    """What the SQL console offers."""

    tables: list[SqlTable] = Field(description="The tables.")
    examples: list[str] = Field(description="Examples of statements.")


class SqlResult(Model):
    """The result of one SELECT."""

    columns: list[str] = Field(description="Names of the columns.")
    types: list[str] = Field(description="DuckDB types of the columns.")
    rows: list[list[Any]] = Field(
        description="At most 1,000 rows. Nested values are text; a cell has at most 10,000 characters."
    )
    truncated: bool = Field(description="Whether there are more rows.")
    milliseconds: float = Field(description="Time that the query took.")
