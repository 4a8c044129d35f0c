"""The programs of bench/collect: each on Acre's collected heap, on Boehm's, and on malloc and free of several libraries.

bench/run runs it after the interpreters; bench/run --collect runs it alone.
"""
import dataclasses
import re

import contenders
import jobs
import statistics_of as stats
import summary
import table
from failure import Failure
from sample import Launcher

BASELINE = contenders.BASELINE
METRICS = ("wall_s", "cpu_s", "rss_mib")
HEAP_LINE = re.compile(r"heap: .*?(\d+) collections, longest stop (\d+) us")
EXPECTED_SECONDS = 1.0

# The aim: the CPU time of the first program on the collected heap, as a ratio to that on the fastest malloc.
AIM_PROGRAM = "binary_trees"
AIM_RATIO = 1.1


@dataclasses.dataclass(frozen=True)
class Heap:
    """A column: the programs are called after `build`; `library` is preloaded, if there is one."""

    name: str
    build: str
    what: str
    library: str = ""
    settings: tuple = ()

    @property
    def collects(self):
        return self.build != "malloc"

    def environment(self):
        preloaded = {"LD_PRELOAD": self.library} if self.library else {}
        return {**preloaded, **dict(self.settings)}


COLLECTORS = (
    Heap("collected", "acre", "Acre's collector"),
    Heap("boehm", "boehm", "Boehm's collector"),
    Heap("boehm-1", "boehm", "the same with one marking thread", settings=(("GC_MARKERS", "1"),)),
)


@dataclasses.dataclass(frozen=True)
class Interpreter:
    name: str = "collect"
    is_server: bool = False


@dataclasses.dataclass(frozen=True)
class Program:
    """`shorter` are the arguments of a default run, `full` those of --full."""

    name: str
    shorter: tuple
    full: tuple
    arguments: tuple = ()
    interpreter: Interpreter = Interpreter()

    @property
    def title(self):
        return f"collect {self.name}"


PROGRAMS = (
    # The trees of a short run are as deep, so that as much lives; there are fewer of them.
    Program("binary_trees", ("20", "8"), ("20",)),
    Program("gcbench", ("17",), ("18",)),
)


class HeapLauncher(Launcher):
    """Runs the program that was built for the heap, and reads the line about the heap that it ends with."""

    def __init__(self, path, build):
        super().__init__(path)
        self.build = build

    def run(self, program, allocator):
        path = contenders.built(self.build, f"{program.name}-{allocator.build}")
        sample = self.run_command([path, *program.arguments], allocator.environment())
        if "failure" in sample:
            return sample
        found = HEAP_LINE.search(sample["errors"])
        if not found:
            return {"failure": "it told nothing of its heap"}
        return {**sample, "collections": int(found.group(1)), "stop_ms": int(found.group(2)) / 1000}


def all_programs(is_full):
    return [dataclasses.replace(program, arguments=program.full if is_full else program.shorter) for program in PROGRAMS]


def find_heaps(build, say):
    """The collectors that the programs were built for, and the mallocs that are installed; Acre's own is called acre."""
    found = []
    for heap in COLLECTORS:
        try:
            contenders.built(build, f"{AIM_PROGRAM}-{heap.build}")
            found.append(heap)
        except Failure:
            say(f"{AIM_PROGRAM}-{heap.build} is not built (apt-get install libgc-dev): the column {heap.name} is left out")
    for allocator in contenders.find_allocators(None, build, say):
        found.append(Heap(allocator.name, "malloc", f"malloc and free of {allocator.name}", allocator.path))
    return found


def measure(programs, build, repetitions, budget_seconds, say):
    """What is written as JSON, but for the machine."""
    heaps = find_heaps(build, say)
    say(f"{len(programs)} programs for a collector, {len(heaps)} heaps, {repetitions} repetitions")
    launcher = HeapLauncher(contenders.built(build, "measure"), build)
    rows, repetitions = jobs.run_programs(programs, heaps, launcher, repetitions, budget_seconds, say, EXPECTED_SECONDS)
    return {
        "repetitions": repetitions,
        "baseline": BASELINE,
        "heaps": {heap.name: {"what": heap.what, "collects": heap.collects, "environment": heap.environment()} for heap in heaps},
        "programs": {program.title: list(program.arguments) for program in programs},
        "rows": rows,
        "summary": summary.summarise(rows, [heap.name for heap in heaps], BASELINE),
    }


def collector_table(rows, names):
    """Collections and the longest stop of each column that collects."""
    lines = ["Collections, and the longest stop [ms]: medians ± half the quartile range of the latter",
             " " * table.TITLE_WIDTH + "".join(name.rjust(table.CELL_WIDTH) for name in names)]
    for row in rows:
        cells = []
        for name in names:
            stops = summary.values(row, name, "stop_ms")
            text = "FAILED"
            if stops:
                count = stats.median(summary.values(row, name, "collections"))
                text = f"{count:.0f} {stats.median(stops):7.1f} ±{min(stats.spread_percent(stops), 99):2.0f}%"
            cells.append(text.rjust(table.CELL_WIDTH))
        lines.append(row["title"].ljust(table.TITLE_WIDTH) + "".join(cells))
    return "\n".join(lines)


def verdicts(result):
    """How the collected heap stands to the fastest malloc, where the program ran on both."""
    lines = []
    names = [name for name, heap in result["heaps"].items() if not heap["collects"]]
    for row in result["rows"]:
        if row["program"] != AIM_PROGRAM or not summary.is_complete(row, ["collected", *names]):
            continue
        cpu = {name: stats.median(summary.values(row, name, "cpu_s")) for name in ["collected", *names]}
        fastest = min(names, key=cpu.get)
        lines.append(summary.verdict(f"{row['title']}, CPU time over the fastest malloc ({fastest})", cpu["collected"] / cpu[fastest],
                                     AIM_RATIO))
    return lines


def report(result):
    """Prints the tables."""
    names = list(result["heaps"])
    described = (f"{name}: {heap['what']}" for name, heap in result["heaps"].items() if heap["collects"])
    print("\nCollectors beside malloc and free: " + "; ".join(described))
    for metric in METRICS:
        print("\n" + table.metric_table(result["rows"], names, result["summary"], metric, BASELINE))
    print("\n" + collector_table(result["rows"], [name for name in names if result["heaps"][name]["collects"]]))
    lines = verdicts(result)
    if lines:
        print("\n" + "\n".join(lines))
