"""Give documents the discipline that their own metadata states."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from innovator_rl.data.corpus.document import Document
from innovator_rl.data.corpus.steps.base import MapStep, Result, Transform


class LabelDiscipline(MapStep):
    """Set the discipline by a column that the source keeps (`keep`), else by the source; drop what has none.

    Attributes:
        column: Key in the document's `info`.
        values: Value of the column -> discipline. Other values leave the source's discipline.
        required: Drop documents that end without a discipline.
    """

    step: Literal["label_discipline"] = "label_discipline"
    column: str = ""
    values: dict[str, str] = Field(default_factory=dict)
    required: bool = True

    def open(self) -> Transform:
        """Return the labeling function."""

        def transform(document: Document) -> Result:
            value = document.info.get(self.column)
            names = value if isinstance(value, list) else [value]
            labeled = next((self.values[str(name)] for name in names if str(name) in self.values), document.discipline)
            if self.required and not labeled:
                return Result(None, "no discipline")
            return Result(replace(document, discipline=labeled))

        return transform
