"""Medians and their uncertainty."""

import random
from statistics import median

RESAMPLES = 10_000


def interval(values):
    """95 % bootstrap interval of the median; the seed is fixed so that a report can be recomputed."""
    rng = random.Random(1)
    medians = sorted(median(rng.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975) - 1]


def verdict(low, high, bar, at_most=False):
    """`holds` or `fails` only when the whole interval is on one side of the bar."""
    if bar is None:
        return "no bar"
    if at_most:
        low, high, bar = -high, -low, -bar
    return "holds" if low >= bar else "fails" if high < bar else "undecided"
