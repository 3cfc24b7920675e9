"""Compute scores and intervals over the rows of a task.

A row is one question. Several samples of a question are one row, because they are not independent: intervals are over
rows, never samples. Rows that rise and fall together (one function with other numbers) are a group, and count as one: a
bootstrap over few groups is too narrow, so their intervals are Student's, with the error over groups.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Z = 1.959963984540054  # the normal quantile of a 95% interval
RESAMPLES = 2000
SEED = 20250724


@dataclass(frozen=True)
class Estimate:
    """A score over `n` rows with its 95% interval."""

    score: float
    n: int
    interval: tuple[float, float] | None


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Return the 95% Wilson interval of a share of n rows."""
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    center = share + Z * Z / (2 * n)
    half = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    return max(0.0, (center - half) / scale), min(1.0, (center + half) / scale)


def bootstrap(
    rows: int, statistic: Callable[[np.ndarray], float], resamples: int = RESAMPLES
) -> tuple[float, float] | None:
    """Return the 95% percentile interval of a statistic over resampled rows.

    Args:
        rows: The number of rows; below 2 there is no interval.
        statistic: Maps an array of row indices to the score.
        resamples: How often rows are drawn.
    """
    if rows < 2:
        return None
    random = np.random.default_rng(SEED)
    values = [statistic(random.integers(0, rows, rows)) for _ in range(resamples)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True)
class GroupedMean:
    """The mean of rows in groups.

    Attributes:
        mean: The mean over rows.
        error: Its standard error over groups; 0 where all rows are equal.
        groups: The number of groups.
    """

    mean: float
    error: float
    groups: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the 95% interval of Student's distribution with a degree of freedom less than groups."""
        from scipy.stats import t

        if self.groups < 2:
            return None
        half = float(t.ppf(0.975, self.groups - 1)) * self.error
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float | None:
        """Return the two-sided p-value of the mean against zero."""
        from scipy.stats import t

        if self.groups < 2:
            return None
        if self.error == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * t.sf(abs(self.mean) / self.error, self.groups - 1))


def grouped_mean(values: Sequence[float], groups: Sequence[str]) -> GroupedMean:
    """Return the mean of rows in groups, and its error by the spread between groups.

    Args:
        values: The value of each row, at least one.
        groups: The group of each row; empty where it stands alone.
    """
    rows = np.asarray(values, dtype=float)
    names = [name or f"\0{place}" for place, name in enumerate(groups)]
    _, member = np.unique(names, return_inverse=True)
    count, mean = int(member.max()) + 1, float(rows.mean())
    if count < 2:
        return GroupedMean(mean, float("nan"), count)
    rest = np.bincount(member, weights=rows - mean)  # of each group, what its rows differ from the mean together
    error = math.sqrt(count / (count - 1) * float((rest**2).sum())) / rows.size
    return GroupedMean(mean, error if np.ptp(rows) else 0.0, count)


def mean_estimate(values: Sequence[float], groups: Sequence[str] = ()) -> Estimate:
    """Return the mean of one value per row with its interval.

    The interval is Wilson's for zeros and ones, else a bootstrap over rows; where rows share groups, Student's over groups,
    within the range that shares have, and Wilson's over groups where all rows are 0 or all are 1.

    Args:
        values: The value of each row.
        groups: The group of each row, empty where it stands alone; none where every row does.
    """
    rows = np.asarray(values, dtype=float)
    if rows.size == 0:
        return Estimate(float("nan"), 0, None)
    score = float(rows.mean())
    grouped = grouped_mean(values, groups) if groups else None
    if grouped is not None and grouped.groups < rows.size:
        if score in (0.0, 1.0) and np.ptp(rows) == 0:  # no spread to estimate an error from
            return Estimate(score, rows.size, wilson(score * grouped.groups, grouped.groups))
        interval = grouped.interval
        if interval and rows.min() >= 0 and rows.max() <= 1:
            interval = (max(0.0, interval[0]), min(1.0, interval[1]))
        return Estimate(score, rows.size, interval)
    if np.isin(rows, (0.0, 1.0)).all():
        return Estimate(score, rows.size, wilson(float(rows.sum()), rows.size))
    random = np.random.default_rng(SEED)
    if rows.size < 2:
        return Estimate(score, rows.size, None)
    means = rows[random.integers(0, rows.size, (RESAMPLES, rows.size))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(score, rows.size, (float(low), float(high)))


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """Return the unbiased estimate of pass@k for one row (Chen et al. 2021, arXiv 2107.03374).

    Args:
        samples: Samples of the row.
        correct: How many of them are right.
        k: The size of the subset that must hold a right one; at most `samples`.
    """
    assert 1 <= k <= samples, f"pass@{k} needs at least {k} samples, got {samples}"
    if samples - correct < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / n for n in range(samples - correct + 1, samples + 1))


def majority(answers: Sequence[str | None], correct: Sequence[bool]) -> bool:
    """Return whether the answer given most often is right.

    Samples without an answer have no vote; of several answers given equally often, the first one counts.
    """
    votes = Counter(answer for answer in answers if answer)
    if not votes:
        return False
    winner = votes.most_common(1)[0][0]
    return next(right for answer, right in zip(answers, correct, strict=True) if answer == winner)
