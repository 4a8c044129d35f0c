"""Delays of threads that allocate while the heap is collected: bench/workloads/latency.cc on every shape, with the
world stopped for marking, and with marking beside the threads. bench/run --latency runs it.
"""
import json
import subprocess
import tempfile

import contenders
import jobs
import statistics_of as stats
from progress import Progress

SHAPES = ("lists", "shuffled", "tree", "hash", "random")
TRACKERS = {
    "stopped": ("tracker=stopped",),
    "barrier": ("tracker=barrier",),
    "pages": ("tracker=pages",),
    "sticky": ("tracker=pages", "minor_collections=1"),
}
DEFAULT_MIB = 256
DEFAULT_SECONDS = 5.0
REPETITIONS = 3
FULL_REPETITIONS = 9
BUILD_SECONDS_OF_MIB = 0.01  # To build the graph and to end; only the estimate of the remaining time depends on it.
DEADLINE_SECONDS = 300       # Beyond the window: it hangs.

# Key, heading, digits. The keys with own_ are without the time for which the thread waited for a CPU.
COLUMNS = (
    ("cycles", "cycles", 0), ("stops", "stops", 0), ("stop_ms", "longest", 2), ("total_stop_ms", "total", 1),
    ("p50_ms", "p50", 3), ("own_p99_ms", "p99", 3), ("own_p999_ms", "p99.9", 2), ("own_max_ms", "max", 1),
    ("max_ms", "(clock)", 1),
    ("own_mmu_1", "MMU 1", 2), ("own_mmu_10", "MMU 10", 2), ("own_mmu_100", "MMU 100", 2),
    ("rss_ratio", "RSS/live", 2), ("mark_cpu_ms", "mark CPU", 0), ("cpu_ms", "CPU", 0), ("allocated_mps", "M/s", 2),
    ("idle_ms", "idle", 1),
)
WIDTH = 10
LEGEND = """Medians. Stops, batches of 400 allocations, CPU and the worst delay of an idle thread in ms. Batches and
utilisation (MMU, in windows of so many ms) without what the thread waited for a CPU, but for (clock), the longest batch
by the clock on the wall; M/s: million nodes allocated a second."""


def run_one(program, shape, tracker, options):
    """The program's JSON as a dictionary, or one with only "failure"."""
    deadline = options.seconds + DEADLINE_SECONDS
    with tempfile.NamedTemporaryFile(prefix="acre-bench-") as file:
        command = [program, "--shape", shape, "--mib", str(options.mib), "--seconds", str(options.seconds),
                   "--json", file.name]
        for option in TRACKERS[tracker]:
            command += ["--option", option]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=deadline, check=False)
        except subprocess.TimeoutExpired:
            return {"failure": f"still running after {deadline:.0f} s"}
        if run.returncode != 0:
            return {"failure": f"exit code {run.returncode}: {run.stderr.strip()[-200:]}"}
        with open(file.name, encoding="utf-8") as text:
            return json.load(text)


def measure(build, options, say):
    """What is written as JSON, but for the machine. Trackers take turns within each shape."""
    program = contenders.built(build, "latency")
    repetitions = options.repetitions or (FULL_REPETITIONS if options.full else REPETITIONS)
    rows = [{"title": shape, "failures": {}, "samples": {tracker: [] for tracker in TRACKERS}} for shape in SHAPES]
    expected = options.seconds + options.mib * BUILD_SECONDS_OF_MIB
    steps = repetitions * len(rows) * len(TRACKERS)
    say(f"{len(rows)} shapes of {options.mib} MiB, {len(TRACKERS)} trackers, "
        f"{repetitions} repetitions of {options.seconds:g} s")
    progress = Progress(steps * expected, steps)
    for repetition in range(repetitions):
        for index, row in enumerate(rows):
            for tracker in jobs.rotated(tuple(TRACKERS), repetition + index):
                jobs.keep(row, tracker, run_one(program, row["title"], tracker, options))
                progress.step(expected, f"{row['title']} {tracker}")
    return {"repetitions": repetitions, "mib": options.mib, "seconds": options.seconds, "rows": rows}


def tracker_table(rows, tracker):
    lines = [" ".join(TRACKERS[tracker]), " " * WIDTH + "".join(heading.rjust(WIDTH) for _, heading, _ in COLUMNS)]
    for row in rows:
        samples = row["samples"][tracker]
        cells = ["FAILED"]
        if samples:
            cells = [f"{stats.median([sample[key] for sample in samples]):.{digits}f}" for key, _, digits in COLUMNS]
        lines.append(row["title"].ljust(WIDTH) + "".join(cell.rjust(WIDTH) for cell in cells))
    return "\n".join(lines)


def report(result):
    """Prints a table for each tracker."""
    print(f"\nDelays: {result['mib']} MiB live, one thread replaces parts of it for {result['seconds']:g} s\n{LEGEND}")
    for tracker in TRACKERS:
        print("\n" + tracker_table(result["rows"], tracker))

