"""What makes writing a reward a pleasure: a scaffold, golden cases, and one check that says what to fix.

from innovator_rl.scoring.kit import check
report = check("solubility")
assert report.ready, report.text()
"""

from innovator_rl.scoring.kit.checkup import check
from innovator_rl.scoring.kit.report import Problem, Report

__all__ = ["Problem", "Report", "check"]
