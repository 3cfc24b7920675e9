"""Define the manifest of a built corpus: what went in, what each step did, and which files came out.

`manifest.json` is the single truth about a build. It is replaced in one rename after every file that it names is in
place, and readers open no file that it does not name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from innovator_rl.data.corpus.publish import publish_json
from innovator_rl.errors import UserError

MANIFEST = "manifest.json"
SHOWN_ERRORS = 1000
"""Row errors that one task keeps with file and row; all are counted."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Count(_Record):
    """What one reason removed: whole documents, passages inside documents, and their bytes."""

    documents: int = 0
    passages: int = 0
    bytes: int = 0

    def add(self, other: Count) -> None:
        """Add another count to this one."""
        self.documents += other.documents
        self.passages += other.passages
        self.bytes += other.bytes


class RowError(_Record):
    """One input row (or file) that cannot be read.

    Attributes:
        row: Row in the file from 1; 0 stands for the file as a whole.
        reason: The category under which it is counted.
        detail: What is wrong with it.
    """

    file: str
    row: int
    reason: str
    detail: str = ""


class FileEntry(_Record):
    """A file of a task or of a build with its size and SHA-256."""

    bytes: int
    sha256: str


class Tally(_Record):
    """Documents and bytes in, out and removed by reason, changes by kind, and the seconds that it took."""

    documents_in: int = 0
    documents_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    dropped: dict[str, Count] = Field(default_factory=dict)
    changed: dict[str, int] = Field(default_factory=dict)
    seconds: float = 0.0

    def drop(self, reason: str, documents: int, passages: int, size: int) -> None:
        """Count what a reason removed."""
        self.dropped.setdefault(reason, Count()).add(Count(documents=documents, passages=passages, bytes=size))

    def change(self, changes: Mapping[str, int]) -> None:
        """Count what was changed in documents that go on."""
        for kind, count in changes.items():
            if count:
                self.changed[kind] = self.changed.get(kind, 0) + count

    def add(self, other: Tally) -> None:
        """Add another tally to this one."""
        self.change(other.changed)
        for name in ("documents_in", "documents_out", "bytes_in", "bytes_out", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for reason, count in other.dropped.items():
            self.dropped.setdefault(reason, Count()).add(count)


class TaskReport(_Record):
    """The result of one task, stored next to its files.

    Attributes:
        facts: Figures of the task besides its tally, for example tokens.
    """

    key: str
    files: dict[str, FileEntry] = Field(default_factory=dict)
    tally: Tally = Field(default_factory=Tally)
    errors: list[RowError] = Field(default_factory=list)
    error_count: int = 0
    facts: dict[str, int | float | str] = Field(default_factory=dict)

    def fail(self, error: RowError) -> None:
        """Count an input row that cannot be read."""
        self.error_count += 1
        if len(self.errors) < SHOWN_ERRORS:
            self.errors.append(error)


class StageEntry(_Record):
    """What one stage of the recipe did: reading, a step, or writing tokens.

    Attributes:
        settings: The stage's part of the recipe.
        code: SHA-256 of the source that it ran.
        tasks: Tasks of the stage; `run` of them ran in this build, the others were complete before it.
    """

    name: str
    settings: dict[str, object] = Field(default_factory=dict)
    code: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    tasks: int = 0
    run: int = 0
    tally: Tally = Field(default_factory=Tally)
    facts: dict[str, int | float | str] = Field(default_factory=dict)


class InputEntry(_Record):
    """One input file with its content's hash (for a remote file: the hash of what its storage reports)."""

    source: str
    file: str
    bytes: int
    sha256: str


class SourceEntry(_Record):
    """Documents of one source before and after the steps."""

    name: str
    discipline: str
    language: str
    license: str
    documents_read: int = 0
    documents: int = 0
    bytes: int = 0


class TokenShard(_Record):
    """A token file and the file of its documents' ends."""

    discipline: str
    file: str
    ends: str
    tokens: int
    documents: int


class TokenSet(_Record):
    """The token shards of a corpus.

    Attributes:
        tokenizer_sha256: Hash of the tokenizer.json; empty in manifests of earlier builds.
    """

    tokenizer: str
    tokenizer_sha256: str = ""
    dtype: str
    end_token: int
    shards: list[TokenShard] = Field(default_factory=list)

    def by_discipline(self) -> dict[str, int]:
        """Return the number of tokens of each discipline, largest first."""
        totals: dict[str, int] = {}
        for shard in self.shards:
            totals[shard.discipline] = totals.get(shard.discipline, 0) + shard.tokens
        return dict(sorted(totals.items(), key=lambda item: -item[1]))


class CorpusManifest(_Record):
    """A built corpus."""

    name: str
    title: str = ""
    license: str = ""
    recipe: dict[str, object] = Field(default_factory=dict)
    recipe_sha256: str = ""
    inputs: list[InputEntry] = Field(default_factory=list)
    sources: list[SourceEntry] = Field(default_factory=list)
    stages: list[StageEntry] = Field(default_factory=list)
    documents: list[str] = Field(default_factory=list)
    tokens: TokenSet | None = None
    files: dict[str, FileEntry] = Field(default_factory=dict)
    errors: int = 0
    error_reasons: dict[str, int] = Field(default_factory=dict)
    seconds: float = 0.0

    def save(self, folder: Path) -> None:
        """Replace the folder's manifest in one rename."""
        publish_json(folder / MANIFEST, self.model_dump(mode="json"))


def load_manifest(folder: Path) -> CorpusManifest:
    """Read the manifest of a built corpus.

    Args:
        folder: The corpus folder, or the manifest itself.

    Raises:
        UserError: when there is none or it is not a manifest.
    """
    path = folder if folder.name == MANIFEST else folder / MANIFEST
    try:
        return CorpusManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{str(path)!r} is not found: build the corpus with `innovator data build RECIPE`") from None
    except ValidationError as error:
        raise UserError(f"{str(path)!r} is not a corpus manifest: {error.errors()[0]['msg']}") from None
