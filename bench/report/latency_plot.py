"""latency_plot.py RESULT.json FOLDER: draws the delays of batches over time, how they are distributed, and how much of
each window a thread had, for every shape and tracker; prints what it wrote. A program of its own, as plot.py is.
"""
import json
import os
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  The backend must be chosen first.
from matplotlib.ticker import FuncFormatter  # noqa: E402

COLOURS = {"stopped": "#0072B2", "barrier": "#D55E00", "pages": "#009E73", "sticky": "#CC79A7"}  # Okabe and Ito.
MARKERS = {"stopped": "s", "barrier": "o", "pages": "^", "sticky": "v"}
LEAST_MS = 1e-3
OWN_DELAY = 2   # In a point of the time line: ms since the beginning, delay, delay without waiting for a CPU.
OWN_SHARE = 2   # In a point of the utilisation: window, share, the same without.


def plain(axis):
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def draw_time(axes, samples):
    for tracker, sample in samples.items():
        points = [(point[0] / 1000, max(point[OWN_DELAY], LEAST_MS)) for point in sample["time_line"]]
        axes.plot(*zip(*points), linestyle="none", marker=MARKERS[tracker], markersize=1.6, color=COLOURS[tracker],
                  label=tracker, alpha=0.7)
    axes.set_yscale("log")
    plain(axes.yaxis)
    axes.set_xlabel("s")


def draw_distribution(axes, samples):
    """How many of the batches take longer."""
    for tracker, sample in samples.items():
        points = [(max(ms, LEAST_MS), 1 - share) for share, ms in sample["own_distribution"] if share < 1]
        points.append((max(sample["own_max_ms"], LEAST_MS), points[-1][1]))
        axes.plot(*zip(*points), color=COLOURS[tracker], linewidth=1.6, label=tracker)
        axes.plot(*points[-1], marker=MARKERS[tracker], color=COLOURS[tracker], markersize=5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain(axes.xaxis)
    axes.set_xlabel("longer than, ms")


def draw_utilisation(axes, samples):
    for tracker, sample in samples.items():
        points = [(point[0], point[OWN_SHARE]) for point in sample["utilisation"]]
        axes.plot(*zip(*points), color=COLOURS[tracker], marker=MARKERS[tracker], markersize=4, label=tracker)
    axes.set_xscale("log")
    axes.set_ylim(-0.02, 1.02)
    plain(axes.xaxis)
    axes.set_xlabel("window, ms")


PANELS = ((draw_time, "longest batches over time, ms"), (draw_distribution, "share of batches that take longer"),
          (draw_utilisation, "minimal mutator utilisation"))


def middle(samples):
    """The repetition whose longest batch is the median one."""
    return sorted(samples, key=lambda sample: sample["own_max_ms"])[(len(samples) - 1) // 2]


def draw(result, folder):
    rows = result["rows"]
    figure, grid = plt.subplots(len(rows), len(PANELS), figsize=(15, 2.9 * len(rows) + 1), squeeze=False)
    for row, line in zip(rows, grid):
        samples = {tracker: middle(found) for tracker, found in row["samples"].items() if found}
        for (draw_panel, label), axes in zip(PANELS, line):
            draw_panel(axes, samples)
            axes.set_title(f"{row['title']}: {label}", fontsize=10, loc="left", fontweight="bold")
            axes.grid(color="#dddddd", linewidth=0.6)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
    handles, labels = grid[0][1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper right", ncol=len(labels), frameon=False, fontsize=11,
                  bbox_to_anchor=(0.985, 0.998))
    facts = result["machine"]
    figure.suptitle(f"Delays of a thread that allocates: {result['mib']} MiB live", x=0.015, ha="left", fontsize=15,
                    fontweight="bold")
    figure.text(0.015, 0.004, f"{facts['cpu']}, {facts['cpus']} CPUs, {facts['kernel']}, {facts['date']}, "
                f"commit {facts['commit'] or 'unknown'}. Batches of 400 allocations, without waiting for a CPU; of "
                f"{result['repetitions']} repetitions the one with the median longest batch.",
                fontsize=8.5, color="#444444")
    figure.tight_layout(rect=(0.005, 0.012, 0.995, 0.985))
    written = [os.path.join(folder, "latency." + kind) for kind in ("png", "svg")]
    for path in written:
        figure.savefig(path, dpi=110)
    return written


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print("\n".join(draw(json.load(file), sys.argv[2])))
