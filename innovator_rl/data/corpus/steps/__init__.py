"""Steps of a corpus recipe, by name."""

from innovator_rl.data.corpus.steps.base import GlobalStep, MapStep, Result, Step
from innovator_rl.data.corpus.steps.decontaminate import Decontaminate
from innovator_rl.data.corpus.steps.exact import DropDuplicateParagraphs, DropDuplicates
from innovator_rl.data.corpus.steps.heuristics import FilterHeuristics
from innovator_rl.data.corpus.steps.label import LabelDiscipline
from innovator_rl.data.corpus.steps.near import DropNearDuplicates
from innovator_rl.data.corpus.steps.quality import AddDamagedCopies, AnnotateQuality, GradeQuality
from innovator_rl.data.corpus.steps.repair import (
    CutDocuments,
    RemoveIrrelevant,
    RepairFormulas,
    RepairPages,
    RepairText,
)
from innovator_rl.data.corpus.steps.short import DropShort

AnyStep = (
    DropShort
    | DropDuplicates
    | DropDuplicateParagraphs
    | DropNearDuplicates
    | Decontaminate
    | LabelDiscipline
    | RepairPages
    | RepairText
    | RepairFormulas
    | RemoveIrrelevant
    | CutDocuments
    | FilterHeuristics
    | AnnotateQuality
    | GradeQuality
    | AddDamagedCopies
)

STEPS: dict[str, type[Step]] = {kind.model_fields["step"].default: kind for kind in AnyStep.__args__}

__all__ = ["STEPS", "AnyStep", "GlobalStep", "MapStep", "Result", "Step"]
