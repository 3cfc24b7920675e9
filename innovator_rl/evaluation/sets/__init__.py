"""The evaluation sets that lm-evaluation-harness lacks, each read from its published file below the data root."""

from innovator_rl.evaluation.sets import olympicarena
from innovator_rl.evaluation.sets.mathematics import MATH_SETS, Reader

SETS: dict[str, tuple[str, Reader]] = {
    **MATH_SETS,
    **{f"olympicarena-{subject.lower()}": ("math", olympicarena.reader(subject)) for subject in olympicarena.SUBJECTS},
}
"""Name -> rewarder and reader."""
