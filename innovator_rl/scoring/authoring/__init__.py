"""Write a reward with a scaffold, golden cases and one check of both.

from innovator_rl.scoring.authoring import check
report = check("solubility")
assert report.ready, report.text()
"""

from innovator_rl.scoring.authoring.report import CheckProblem, Report
from innovator_rl.scoring.authoring.validate import check

__all__ = ["CheckProblem", "Report", "check"]
