"""Steps of a corpus recipe, by name."""

from innovator_rl.data.corpus.steps.base import GlobalStep, MapStep, Result, Step
from innovator_rl.data.corpus.steps.exact import DropDuplicateParagraphs, DropDuplicates
from innovator_rl.data.corpus.steps.short import DropShort

AnyStep = DropShort | DropDuplicates | DropDuplicateParagraphs

STEPS: dict[str, type[Step]] = {
    kind.model_fields["step"].default: kind for kind in (DropShort, DropDuplicates, DropDuplicateParagraphs)
}

__all__ = ["STEPS", "AnyStep", "GlobalStep", "MapStep", "Result", "Step"]
