"""Runs malloc_bench on each allocator in turn and prints what single calls cost, with ratios to jemalloc.

bench/run --micro calls it. Rows are run group by group on all allocators before the next group, several rounds, so that a
slow moment of the machine meets every contender.
"""
import argparse
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "report"))
# The report's modules are found through the line above.
import bindings  # noqa: E402
import contenders  # noqa: E402
import machine  # noqa: E402
import memory_rows  # noqa: E402
import statistics_of as stats  # noqa: E402
from failure import Failure  # noqa: E402
from jobs import rotated  # noqa: E402
from progress import Progress  # noqa: E402

DEFAULT_ROUNDS = 5
FULL_ROUNDS = 15
MIN_TIME = "0.03"  # Seconds for each row of one round.
SUFFIXES = re.compile("/(real_time|process_time|iterations:[0-9]+)")  # How Google Benchmark marks what a row was told.
UNITS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}

# Names of rows by regular expression; every group is one run of the program. The second is the expected time in seconds.
GROUPS = {
    "pairs": ("^LifoPair/|^EmptyLoop", 1.0),
    "large pairs": ("^LifoPairLarge/", 0.8),
    "batches": ("^Batch/", 1.5),
    "calloc and aligned": ("^CallocPair/|^AlignedPair/", 1.0),
    "remote": ("^RemoteFree/|^RingAlone", 0.7),
    "realloc": ("^Realloc", 1.2),
    "large blocks": ("^LargeBlocks", 0.9),
}


def in_batches(row):
    return row.startswith("Batch/") and row.endswith("/1000")


# What must be reached: a title, which rows count, and the limit for the geometric mean of their ratios to jemalloc.
AIMS = (
    ("LIFO pairs, 16 B to 4 KiB", lambda row: row.startswith("LifoPair/"), 0.75),
    ("LIFO pairs and batches of 1000", lambda row: row.startswith("LifoPair/") or in_batches(row), 0.36),
    ("freed by another thread", lambda row: row.startswith("RemoteFree/"), 0.20),
    ("one block grown to 64 MiB", lambda row: row.startswith("ReallocTo64MiB"), 0.10),
    ("blocks of 5 to 25 MiB", lambda row: row.startswith("LargeBlocks"), 0.15),
)


def say(text):
    print(text, file=sys.stderr, flush=True)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="bench/run --micro", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--full", action="store_true", help=f"{FULL_ROUNDS} rounds instead of {DEFAULT_ROUNDS}")
    parser.add_argument("--repetitions", type=int, metavar="N", help="this many rounds")
    parser.add_argument("--only", action="append", choices=list(GROUPS), help="only this group of rows; may be repeated")
    parser.add_argument("--allocators", metavar="A,B",
                        help=f"only these of {', '.join(contenders.ALL)}; jemalloc is always in, and '{contenders.CANARY}' is "
                        "jemalloc once more, to show the noise")
    parser.add_argument("--build", metavar="DIR", help="the build directory (default: build/release)")
    parser.add_argument("--out", metavar="DIR", default=os.path.join(contenders.ROOT, "bench", "results"),
                        help="where results go (default: bench/results)")
    parser.add_argument("--memory", action="store_true", help="also the memory after a burst and with 1000 threads (minutes)")
    options = parser.parse_args(arguments)
    if options.repetitions is not None and options.repetitions < 1:
        parser.error("--repetitions must be at least 1")
    return options


def nanoseconds(entry):
    """Time of one operation: of one block where a row counts blocks, else of one turn of its loop."""
    if "items_per_second" in entry:
        return 1e9 / entry["items_per_second"]
    return entry["cpu_time"] * UNITS[entry["time_unit"]]


def run_group(program, pattern, allocator):
    """One run of the program: row name -> nanoseconds."""
    run = subprocess.run([program, f"--benchmark_filter={pattern}", f"--benchmark_min_time={MIN_TIME}", "--benchmark_format=json"],
                         env={**os.environ, **allocator.environment()}, capture_output=True, text=True, timeout=300, check=False)
    if run.returncode != 0:
        last = run.stderr.strip().splitlines()
        raise Failure(f"malloc_bench on {allocator.name} ended with {run.returncode}" + (f": {last[-1]}" if last else ""))
    entries = json.loads(run.stdout)["benchmarks"]
    return {SUFFIXES.sub("", entry["name"]): nanoseconds(entry) for entry in entries}


def measure(program, groups, allocators, rounds):
    """Row name -> allocator -> nanoseconds of each round."""
    rows = {}
    expected = sum(seconds for _, seconds in groups.values()) * len(allocators) * rounds
    progress = Progress(expected, len(groups) * len(allocators) * rounds)
    for number in range(rounds):
        for index, (title, (pattern, seconds)) in enumerate(groups.items()):
            for allocator in rotated(allocators, number + index):
                for row, value in run_group(program, pattern, allocator).items():
                    rows.setdefault(row, {}).setdefault(allocator.name, []).append(value)
                progress.step(seconds, f"{title} on {allocator.name}")
    return rows


def table(rows, names):
    names = [contenders.BASELINE] + [name for name in names if name != contenders.BASELINE]
    lines = ["Nanoseconds for each operation: median ± half the quartile range, ratio to jemalloc",
             " " * 26 + "".join(name.rjust(21) for name in names)]
    for row, columns in rows.items():
        base = stats.median(columns[contenders.BASELINE])
        cells = []
        for name in names:
            middle = stats.median(columns[name])
            digits = 2 if middle < 1000 else 0
            text = f"{middle:.{digits}f} ±{min(stats.spread_percent(columns[name]), 99):2.0f}%"
            cells.append((text + ("" if name == contenders.BASELINE else f" {middle / base:5.2f}")).rjust(21))
        lines.append(row.ljust(26) + "".join(cells))
    return "\n".join(lines)


def group_means(rows, names):
    """Title of an aim -> allocator -> geometric mean of ratios with its spread."""
    means = {}
    for title, counts, _ in AIMS:
        chosen = [columns for row, columns in rows.items() if counts(row)]
        if chosen:
            means[title] = {name: stats.mean_ratio([(c[name], c[contenders.BASELINE]) for c in chosen]) for name in names}
    return means


def means_table(means, names):
    names = [name for name in names if name != contenders.BASELINE]
    lines = ["Geometric means of the ratios to jemalloc", " " * 34 + "".join(name.rjust(19) for name in names) + "   aim for acre"]
    for title, _, limit in AIMS:
        if title not in means:
            continue
        cells = [f"{means[title][n]['low']:.2f}-{means[title][n]['high']:.2f} {means[title][n]['ratio']:6.3f}".rjust(19) for n in names]
        verdict = ""
        if "acre" in means[title]:
            verdict = " reached" if means[title]["acre"]["ratio"] <= limit else " MISSED"
        lines.append(title.ljust(34) + "".join(cells) + f"   <= {limit:.2f}{verdict}")
    return "\n".join(lines)


def main(arguments):
    options = parse(arguments)
    build = contenders.build_directory(options.build)
    allocators = contenders.find_allocators(options.allocators.split(",") if options.allocators else None, build, say)
    program = contenders.built(build, "malloc_bench")
    for allocator in allocators:
        bindings.check_program("malloc_bench", [program, "--benchmark_list_tests"], {}, allocator)
    groups = {title: GROUPS[title] for title in GROUPS if not options.only or title in options.only}
    rounds = options.repetitions or (FULL_ROUNDS if options.full else DEFAULT_ROUNDS)
    facts = machine.describe()
    names = [allocator.name for allocator in allocators]
    rows = measure(program, groups, allocators, rounds)
    means = group_means(rows, names)
    result = {"machine": facts, "rounds": rounds, "unit": "ns", "rows": rows, "means": means,
              "allocators": {a.name: {"path": a.path, "version": contenders.version(a.path)} for a in allocators}}
    print(machine.line(facts) + "\n\n" + table(rows, names) + "\n\n" + means_table(means, names))
    if options.memory:
        result["memory"] = memory_rows.measure(build, allocators, say)
        print("\n" + memory_rows.table(result["memory"], names))
    os.makedirs(options.out, exist_ok=True)
    path = os.path.join(options.out, "micro.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
    print(f"\nResults: {path}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as failure:
        say(f"bench/run --micro: {failure}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("\nbench/run --micro: stopped")
        sys.exit(130)
