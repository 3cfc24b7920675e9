"""Define what a step is: a part of the recipe that keeps, changes or drops documents.

A `MapStep` looks at one document at a time. A `GlobalStep` compares documents with each other: it scans every part on its
own, decides once over all scans, and applies the decision to every part on its own, so that only the small decision is
not parallel, and only the parts whose decision changed are written again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from innovator_rl.data.corpus.document import Document

BASE_MODULES = ("innovator_rl.data.corpus.document", "innovator_rl.data.corpus.steps.base")


@dataclass(frozen=True, slots=True)
class Result:
    """What a step made of one document.

    Attributes:
        document: The document that goes on; None when it was dropped.
        reason: Why it was dropped or which passages were removed; empty when nothing was.
        passages: Passages removed from a document that goes on.
        changes: What was changed in it, and how often.
        more: Further documents that came out of this one, where a step cuts documents.
    """

    document: Document | None
    reason: str = ""
    passages: int = 0
    changes: Mapping[str, int] = field(default_factory=dict)
    more: tuple[Document, ...] = ()


Transform = Callable[[Document], Result]


class Step(BaseModel):
    """Settings of a step, and what it does. The class attributes describe its code."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    step: str

    uses: ClassVar[tuple[str, ...]] = ()
    """Modules besides the step's own whose source is part of its identity."""

    packages: ClassVar[tuple[str, ...]] = ("numpy", "pyarrow")
    """Packages whose version is part of its identity."""

    @classmethod
    def modules(cls) -> tuple[str, ...]:
        """Return the modules whose source decides the step's results."""
        return tuple(dict.fromkeys((*BASE_MODULES, *cls.uses, cls.__module__)))

    def settings(self) -> dict[str, Any]:
        """Return the settings as JSON."""
        return self.model_dump(mode="json")

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide a result, paths excluded; the content of side files counts instead."""
        return self.settings()

    def side_files(self) -> Sequence[Path]:
        """Return the files that the step reads besides documents; their content is part of the step's identity.

        Raises:
            UserError: when one is not found.
        """
        return ()


class MapStep(Step):
    """A step that looks at one document at a time."""

    def open(self) -> Transform:
        """Return the function that is applied to every document."""
        raise NotImplementedError(f"{type(self).__name__} must define `open` or `apply`")

    def apply(self, documents: Iterable[Document]) -> Iterator[tuple[Document, Result]]:
        """Yield each document with its result; a step that works on several at once overrides this and not `open`."""
        transform = self.open()
        for document in documents:
            yield document, transform(document)


class GlobalStep(Step, ABC):
    """A step that compares documents with each other."""

    @abstractmethod
    def scan(self, documents: Iterable[Document], folder: Path) -> None:
        """Write what the decision needs to know about the documents of one part into `folder`."""

    @abstractmethod
    def decide(self, scans: Sequence[Path], folder: Path) -> dict[str, int | float | str]:
        """Write a decision file for each part.

        Args:
            scans: The folders that `scan` wrote, in the order of the parts.
            folder: Receives `decision_name(i)` for each part.

        Returns:
            Figures for the manifest.
        """

    @abstractmethod
    def apply(self, documents: Iterable[Document], decision: Path) -> Iterator[tuple[Document, Result]]:
        """Yield each document with its result."""


def decision_name(part: int) -> str:
    """Return the name of a part's decision file."""
    return f"{part:06d}.npy"
