"""Ratios, means and verdicts from the samples. Pure functions: what goes in is what jobs.py returns."""
import statistics_of as stats
from contenders import BASELINE

METRICS = ("cpu_s", "rss_mib", "wall_s")

# The aims of the main job, as ratios to jemalloc: for the geometric mean and for the worst program.
AIMS = {"cpu_s": ("CPU time", 0.92, 1.05), "rss_mib": ("peak RSS", 0.97, 1.10)}
START_AIM_MS = 0.2   # Over glibc's malloc, as the next one.
START_AIM_MIB = 1.0


def values(row, name, metric):
    return [sample[metric] for sample in row["samples"].get(name, [])]


def is_complete(row, names):
    return not row["failures"] and all(row["samples"].get(name) for name in names)


def summarise(rows, names, baseline=BASELINE):
    """For each metric and column: every complete program's ratio to the baseline, and their geometric mean."""
    complete = [row for row in rows if is_complete(row, names)]
    result = {}
    for metric in METRICS:
        result[metric] = {}
        for name in names:
            pairs = [(values(row, name, metric), values(row, baseline, metric)) for row in complete]
            result[metric][name] = {
                "programs": {row["title"]: stats.ratio(*pair) for row, pair in zip(complete, pairs)},
                "mean": stats.mean_ratio(pairs) if pairs else None,
                "best_mean": stats.best_mean_ratio(pairs) if pairs else None,
            }
    return result


def verdict(claim, value, limit, unit=""):
    """One line that says whether a measured value keeps a limit."""
    word = "reached" if value <= limit else "MISSED"
    return f"{word:8} {claim}: {value:.3f}{unit} (aim: at most {limit:.2f}{unit})"


def verdicts(summary, programs, name="acre"):
    """The lines for the programs; where some of them failed, that comes first, as the means are then without them."""
    lines = []
    complete = len(summary["cpu_s"].get(name, {"programs": ()})["programs"])
    if complete < programs and name in summary["cpu_s"]:
        lines.append(f"MISSED   {programs - complete} of {programs} programs failed on some allocator: they are in no mean")
    for metric, (label, mean_limit, worst_limit) in AIMS.items():
        column = summary[metric].get(name)
        if not column or not column["mean"]:
            continue
        title, worst = max(column["programs"].items(), key=lambda item: item[1]["ratio"])
        lines.append(verdict(f"{label}, geometric mean over {BASELINE}", column["mean"]["ratio"], mean_limit))
        lines.append(verdict(f"{label}, worst program ({title})", worst["ratio"], worst_limit))
    return lines


def start_verdicts(rows, name="acre"):
    lines = []
    for row in rows:
        if not is_complete(row, ("glibc", name)):
            continue
        wall = 1000 * (stats.median(values(row, name, "wall_s")) - stats.median(values(row, "glibc", "wall_s")))
        memory = stats.median(values(row, name, "rss_mib")) - stats.median(values(row, "glibc", "rss_mib"))
        lines.append(verdict(f"start of {row['title']}, time over glibc", wall, START_AIM_MS, " ms"))
        lines.append(verdict(f"start of {row['title']}, memory over glibc", memory, START_AIM_MIB, " MiB"))
    return lines


def failures(rows):
    return [f"FAILED   {row['title']} on {name}: {why}" for row in rows for name, why in row["failures"].items()]
