"""Medians, quartiles and geometric means of samples, and of ratios between contenders that ran side by side."""
import math
import statistics


def median(values):
    return statistics.median(values)


def quartiles(values):
    """The first and third quartile; the ends themselves where there are fewer than four values."""
    if len(values) < 4:
        return min(values), max(values)
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def spread_percent(values):
    """Half the distance of the quartiles, in percent of the median."""
    low, high = quartiles(values)
    middle = median(values)
    return 50 * (high - low) / middle if middle else 0.0


def geometric_mean(values):
    return math.exp(sum(math.log(value) for value in values) / len(values))


def ratio(values, base):
    """The ratio of the medians, with the quartiles of the ratios within each repetition, where both ran close in time."""
    pairs = [value / other for value, other in zip(values, base)]
    low, high = quartiles(pairs)
    return {"ratio": median(values) / median(base), "low": low, "high": high}


def mean_ratio(rows):
    """The geometric mean over programs of the ratios of medians; its spread from the mean of each single repetition.

    rows: pairs of sample lists (contender, baseline), one pair a program, repetitions in the same order.
    """
    repetitions = min(len(values) for values, _ in rows)
    each = [geometric_mean([values[r] / base[r] for values, base in rows]) for r in range(repetitions)]
    low, high = quartiles(each)
    return {"ratio": geometric_mean([median(values) / median(base) for values, base in rows]), "low": low, "high": high}


def best_mean_ratio(rows):
    """The same from each program's best run: what a noisy machine adds is never negative, so the minimum repeats better."""
    return geometric_mean([min(values) / min(base) for values, base in rows])
