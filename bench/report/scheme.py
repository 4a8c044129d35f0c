"""The Scheme of bench/interpreters/scheme on each heap that it was built for: the same interpreter, so the heaps differ alone.

bench/run runs it after the interpreters that it preloads allocators into; bench/run --scheme runs it alone.
"""
import dataclasses
import os
import re

import contenders
import jobs
import statistics_of as stats
import summary
import table
from failure import Failure
from sample import Launcher

BASELINE = "boehm"
# Columns, and what they are. The names are those of the programs, after "scheme-".
HEAPS = {
    "boehm": "Boehm's collector",
    "acre": "Acre's collector",
    "rc": "reference counts over glibc's malloc",
    "rc-jemalloc": "reference counts over jemalloc",
}
SOURCES = os.path.join(contenders.ROOT, "bench", "interpreters", "scheme", "programs")
METRICS = ("wall_s", "cpu_s", "rss_mib")
COLLECTIONS = re.compile(r"heap: .*?(\d+) collections")


@dataclasses.dataclass(frozen=True)
class Heap:
    name: str
    path: str


@dataclasses.dataclass(frozen=True)
class Interpreter:
    name: str = "scheme"


@dataclasses.dataclass(frozen=True)
class Program:
    """`expected` is what it must print, on every heap."""

    name: str
    source: str
    expected: str
    interpreter: Interpreter = Interpreter()

    @property
    def title(self):
        return f"scheme {self.name}"


class SchemeLauncher(Launcher):
    """Runs the interpreter with --stats, whose line about the heap says how often it collected."""

    def run(self, program, allocator):
        sample = self.run_command([allocator.path, "--stats", program.source], {})
        if "failure" in sample:
            return sample
        if sample["output"] != program.expected:
            return {"failure": f"printed {sample['output'].strip()[:80]!r}, expected is {program.expected.strip()[:80]!r}"}
        found = COLLECTIONS.search(sample["errors"])
        return {**sample, "collections": int(found.group(1)) if found else 0}


def all_programs():
    found = []
    for file in sorted(os.listdir(SOURCES)):
        name, suffix = os.path.splitext(file)
        if suffix == ".scm":
            with open(os.path.join(SOURCES, "expected", name + ".txt"), encoding="utf-8") as expected:
                found.append(Program(name, os.path.join(SOURCES, file), expected.read()))
    return found


# Of a default run: trees, lists, strings and hash tables.
DEFAULT_PROGRAMS = ("earley", "gcbench", "strings", "tables")


def default_programs():
    return [program for program in all_programs() if program.name in DEFAULT_PROGRAMS]


def find_heaps(build, say):
    """The heaps that the interpreter was built for. Without Boehm's collector there is nothing to compare with."""
    found = []
    for name, what in HEAPS.items():
        try:
            found.append(Heap(name, contenders.built(build, "scheme-" + name)))
        except Failure:
            say(f"scheme-{name} ({what}) is not built: its column is left out")
    if BASELINE not in [heap.name for heap in found]:
        raise Failure("scheme-boehm is not built: apt-get install libgc-dev libgmp-dev libedit-dev, and build again")
    return found


def measure(programs, build, repetitions, budget_seconds, say):
    """What goes under "scheme" into the results."""
    heaps = find_heaps(build, say)
    say(f"{len(programs)} Scheme programs, {len(heaps)} heaps, {repetitions} repetitions")
    launcher = SchemeLauncher(contenders.built(build, "measure"))
    rows, repetitions = jobs.run_programs(programs, heaps, launcher, repetitions, budget_seconds, say, expected_seconds=1.2)
    return {
        "repetitions": repetitions,
        "baseline": BASELINE,
        "heaps": {heap.name: {"path": heap.path, "what": HEAPS[heap.name]} for heap in heaps},
        "rows": rows,
        "summary": summary.summarise(rows, [heap.name for heap in heaps], BASELINE),
    }


def collections_table(rows, names):
    lines = ["Collections: median", " " * table.TITLE_WIDTH + "".join(name.rjust(table.CELL_WIDTH) for name in names)]
    for row in rows:
        cells = []
        for name in names:
            counts = summary.values(row, name, "collections")
            cells.append((f"{stats.median(counts):.0f}" if counts else "FAILED").rjust(table.CELL_WIDTH))
        lines.append(row["title"].ljust(table.TITLE_WIDTH) + "".join(cells))
    return "\n".join(lines)


def report(result):
    """Prints the tables."""
    names = list(result["heaps"])
    print("\nOne interpreter on several heaps: " + "; ".join(f"{name}: {HEAPS[name]}" for name in names))
    for metric in METRICS:
        print("\n" + table.metric_table(result["rows"], names, result["summary"], metric, BASELINE))
    print("\n" + collections_table(result["rows"], [name for name in names if name in ("boehm", "acre")]))
