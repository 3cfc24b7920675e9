"""Write a reward: a scaffold, golden cases, and one check that reports what to fix.

from innovator_rl.scoring.authoring import check
report = check("solubility")
assert report.ready, report.text()
"""

from innovator_rl.scoring.authoring.report import CheckProblem, Report
from innovator_rl.scoring.authoring.validate import check

__all__ = ["CheckProblem", "Report", "check"]
