"""plot.py RESULT.json FOLDER: draws CPU time and peak memory of every program as ratios to jemalloc; prints what it wrote.

A program of its own: it needs Matplotlib, which must not weigh on the process that measures.
"""
import json
import os
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  The backend must be chosen first.
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator  # noqa: E402

PANELS = (("cpu_s", "CPU time (user and system)"), ("rss_mib", "Peak RSS"))

# Colours that stay apart for colour-blind readers (Okabe and Ito), and markers that stay apart without colour.
STYLES = {"acre": ("#D55E00", "o", 7.5), "glibc": ("#555555", "s", 4.8), "mimalloc": ("#0072B2", "^", 5.4), "tcmalloc": ("#009E73", "D", 4.5)}
TICKS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.4, 1.6, 2, 2.5, 3, 4, 5)
MEAN_GAP = 0.7  # Between the programs and their geometric mean, in rows.


def collect(result, metric):
    """The titles of complete programs, and for each contender a list of (row, ratio entry), the mean in the last row."""
    columns = result["summary"][metric]
    titles = list(columns[result["baseline"]]["programs"])
    points = {}
    for name, column in columns.items():
        if name != result["baseline"] and column["mean"]:
            entries = [(row, column["programs"][title]) for row, title in enumerate(titles)]
            points[name] = entries + [(len(titles) + MEAN_GAP, column["mean"])]
    return titles, points


def draw_panel(axes, titles, points, label):
    height = 0.62 / max(len(points) - 1, 1)
    lowest, highest = 0.9, 1.1
    for place, (name, entries) in enumerate(points.items()):
        colour, marker, size = STYLES.get(name, ("#CC79A7", "v", 5))
        rows = [row + (place - (len(points) - 1) / 2) * height for row, _ in entries]
        ratios = [entry["ratio"] for _, entry in entries]
        # A quartile may lie on the other side of the ratio of medians: an error bar has no negative length.
        errors = [[max(e["ratio"] - e["low"], 0) for _, e in entries], [max(e["high"] - e["ratio"], 0) for _, e in entries]]
        axes.errorbar(ratios, rows, xerr=errors, fmt=marker, color=colour, markersize=size, elinewidth=1.1, capsize=2, label=name,
                      zorder=4 if name == "acre" else 3)
        lowest = min([lowest] + [entry["low"] for _, entry in entries] + ratios)
        highest = max([highest] + [entry["high"] for _, entry in entries] + ratios)
    finish_axes(axes, titles, label, lowest / 1.04, highest * 1.04)


def finish_axes(axes, titles, label, lowest, highest):
    mean_row = len(titles) + MEAN_GAP
    axes.set_xscale("log")
    axes.set_xlim(lowest, highest)
    axes.set_ylim(mean_row + 0.7, -0.7)
    axes.axvline(1, color="black", linewidth=1, zorder=2)
    for row in range(0, len(titles), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="#f3f3f3", zorder=0, linewidth=0)
    axes.axhspan(mean_row - 0.6, mean_row + 0.6, color="#fdf0e0", zorder=0, linewidth=0)
    axes.set_yticks(list(range(len(titles))) + [mean_row])
    axes.set_yticklabels(titles + ["geometric mean"])
    ticks = [tick for tick in TICKS if lowest <= tick <= highest]
    if highest / lowest > 3:
        ticks = [tick for tick in ticks if tick not in (0.9, 1.1, 0.7)]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x", color="#dddddd", linewidth=0.6, zorder=1)
    axes.tick_params(axis="y", length=0)
    axes.set_title(label, fontsize=12, loc="left", fontweight="bold")
    axes.set_xlabel("ratio to jemalloc (logarithmic; left is better)")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def note_means(axes, points):
    """Writes the means as numbers below the panel: the figure that the picture is about."""
    text = "     ".join(f"{name} {entries[-1][1]['ratio']:.2f}" for name, entries in points.items())
    axes.text(0, -0.075, "geometric mean:  " + text, transform=axes.transAxes, fontsize=9.5, va="top")


def draw(result, folder):
    titles, _ = collect(result, "cpu_s")
    height = 2.6 + 0.42 * (len(titles) + 2)
    figure, panels = plt.subplots(1, 2, figsize=(14, height))
    for axes, (metric, label) in zip(panels, PANELS):
        titles, points = collect(result, metric)
        draw_panel(axes, titles, points, label)
        note_means(axes, points)
    panels[0].get_yticklabels()[-1].set_fontweight("bold")
    panels[1].set_yticklabels([])  # The programs are named once, on the left.
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper right", ncol=len(labels), frameon=False, fontsize=11, bbox_to_anchor=(0.985, 0.995))
    facts = result["machine"]
    figure.suptitle("Unmodified interpreters on preloaded allocators", x=0.015, ha="left", fontsize=15, fontweight="bold")
    figure.text(0.015, 0.008, f"{facts['cpu']}, {facts['cpus']} CPUs, {facts['kernel']}, {facts['date']}, commit "
                f"{facts['commit'] or 'unknown'}. Medians of {result['repetitions']} interleaved repetitions; bars: quartiles.",
                fontsize=8.5, color="#444444")
    figure.tight_layout(rect=(0.005, 0.02, 0.995, 0.985))
    written = [os.path.join(folder, "interpreters." + kind) for kind in ("png", "svg")]
    for path in written:
        figure.savefig(path, dpi=130)
    return written


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print("\n".join(draw(json.load(file), sys.argv[2])))
