"""The tables that a run prints: one a metric, programs down, allocators across."""
import statistics_of as stats
from contenders import BASELINE
from summary import values

HEADINGS = {"cpu_s": ("CPU time, user and system", "s", 3), "rss_mib": ("Peak RSS", "MiB", 1), "wall_s": ("Wall time", "s", 3)}
TITLE_WIDTH = 23
CELL_WIDTH = 19


def cell(row, name, metric, digits, baseline):
    """Median, half the distance between quartiles in percent, and the ratio to the baseline."""
    if name in row["failures"]:
        return "FAILED".rjust(CELL_WIDTH)
    mine, base = values(row, name, metric), values(row, baseline, metric)
    if not mine:
        return "-".rjust(CELL_WIDTH)
    text = f"{stats.median(mine):.{digits}f} ±{min(stats.spread_percent(mine), 99):2.0f}%"
    if name != baseline and base:
        text += f" {stats.median(mine) / stats.median(base):5.2f}"
    return text.rjust(CELL_WIDTH)


def mean_cell(mean):
    if not mean:
        return "-".rjust(CELL_WIDTH)
    return f"{mean['low']:.2f}-{mean['high']:.2f} {mean['ratio']:6.3f}".rjust(CELL_WIDTH)


def metric_table(rows, names, summary, metric, baseline=BASELINE):
    heading, unit, digits = HEADINGS[metric]
    names = [baseline] + [name for name in names if name != baseline]
    lines = [f"{heading} [{unit}]: median ± half the quartile range, ratio to {baseline}",
             " " * TITLE_WIDTH + "".join(name.rjust(CELL_WIDTH) for name in names)]
    for row in rows:
        lines.append(row["title"].ljust(TITLE_WIDTH) + "".join(cell(row, name, metric, digits, baseline) for name in names))
    lines.append("geometric mean".ljust(TITLE_WIDTH) + " " * CELL_WIDTH
                 + "".join(mean_cell(summary[metric][name]["mean"]) for name in names if name != baseline))
    best = [summary[metric][name]["best_mean"] for name in names if name != baseline]
    if metric != "rss_mib" and all(best):
        lines.append("  of the best runs".ljust(TITLE_WIDTH) + " " * CELL_WIDTH + "".join(f"{value:{CELL_WIDTH}.3f}" for value in best))
    return "\n".join(lines)


def start_table(rows, names):
    lines = ["Start and end of a process: median wall time [ms], peak RSS [MiB]",
             " " * TITLE_WIDTH + "".join(name.rjust(CELL_WIDTH) for name in names)]
    for row in rows:
        cells = []
        for name in names:
            wall, memory = values(row, name, "wall_s"), values(row, name, "rss_mib")
            text = f"{1000 * stats.median(wall):.2f} ms {stats.median(memory):5.2f}" if wall else "FAILED"
            cells.append(text.rjust(CELL_WIDTH))
        lines.append(row["title"].ljust(TITLE_WIDTH) + "".join(cells))
    return "\n".join(lines)
