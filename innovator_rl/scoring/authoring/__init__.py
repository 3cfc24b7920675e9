"""What makes writing a reward a pleasure: a scaffold, golden cases, and one check that says what to fix.

from innovator_rl.scoring.authoring import check
report = check("solubility")
assert report.ready, report.text()
"""

from innovator_rl.scoring.authoring.report import Problem, Report
from innovator_rl.scoring.authoring.validate import check

__all__ = ["Problem", "Report", "check"]
