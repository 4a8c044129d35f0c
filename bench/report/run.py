"""The main job: real interpreters run real programs on each allocator in turn, and the costs are compared.

bench/run installs what is needed, builds, and starts this. Standard output gets the tables; standard error the progress.
"""
import argparse
import json
import os
import subprocess
import sys

import bindings
import collected
import contenders
import jobs
import latency
import machine
import programs
import scheme
import summary
import table
from failure import Failure
from sample import Launcher

DEFAULT_REPETITIONS = 5
FULL_REPETITIONS = 15
# For the programs of a default run, for the Scheme's, and for those of bench/collect: it shall end within five minutes
# once everything is built. A part that is asked for by its own option may take as long as all of them.
BUDGET_SECONDS = 130
SCHEME_BUDGET_SECONDS = 45
COLLECTED_BUDGET_SECONDS = 40
PART_BUDGET_SECONDS = 230


def say(text):
    print(text, file=sys.stderr, flush=True)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--full", action="store_true", help=f"{FULL_REPETITIONS} repetitions instead of {DEFAULT_REPETITIONS}")
    parser.add_argument("--repetitions", type=int, metavar="N", help="this many repetitions")
    parser.add_argument("--only", action="append", metavar="NAME",
                        help="only this interpreter (lua), program (trees) or both (\"lua trees\"); may be repeated")
    parser.add_argument("--allocators", metavar="A,B",
                        help=f"only these of {', '.join(contenders.ALL)}; jemalloc is always in, and '{contenders.CANARY}' is "
                        "jemalloc once more, to show the noise")
    parser.add_argument("--build", metavar="DIR", help="the build directory with libacre_malloc.so (default: build/release)")
    parser.add_argument("--out", metavar="DIR", default=os.path.join(contenders.ROOT, "bench", "results"),
                        help="where results go (default: bench/results)")
    parser.add_argument("--list", action="store_true", help="name the programs and end")
    parser.add_argument("--scheme", action="store_true", help="only the Scheme that is built for several heaps")
    parser.add_argument("--collect", action="store_true", help="only the programs that compare collectors with malloc and free")
    parser.add_argument("--latency", action="store_true",
                        help="only delays of a thread while its heap is collected, with each tracker; draws a picture")
    parser.add_argument("--mib", type=int, default=latency.DEFAULT_MIB, metavar="N",
                        help=f"with --latency: so much lives ({latency.DEFAULT_MIB})")
    parser.add_argument("--seconds", type=float, default=latency.DEFAULT_SECONDS, metavar="S",
                        help=f"with --latency: each run watches for so long ({latency.DEFAULT_SECONDS:g})")
    parser.add_argument("--micro", action="store_true", help="the costs of single calls (bench/micro) instead of interpreters")
    parser.add_argument("--memory", action="store_true", help="with --micro: also memory after a burst and with 1000 threads")
    options = parser.parse_args(arguments)
    if options.repetitions is not None and options.repetitions < 1:
        parser.error("--repetitions must be at least 1")
    return options


def parts(options):
    """The parts of the job: how each is run, and its programs."""
    every = [(run_preloaded, programs.all_programs()), (run_scheme, scheme_programs(options)),
             (run_collected, collected.all_programs(options.full))]
    asked = [run for run, is_asked in ((run_scheme, options.scheme), (run_collected, options.collect)) if is_asked]
    return [(run, found) for run, found in every if not asked or run in asked]


def scheme_programs(options):
    """All where they are asked for in any way, else some."""
    is_asked = options.scheme or options.full or options.only or options.list
    return scheme.all_programs() if is_asked else scheme.default_programs()


def chosen_parts(options):
    """The same with the programs that --only names."""
    every = parts(options)
    chosen = programs.choose([program for _, found in every for program in found], options.only)
    return [(run, [program for program in found if program in chosen]) for run, found in every]


def repetitions_of(options, budget_seconds):
    """How many, and how long they may take together."""
    has_budget = not options.full and not options.repetitions
    return options.repetitions or (FULL_REPETITIONS if options.full else DEFAULT_REPETITIONS), budget_seconds if has_budget else float("inf")


def measure(chosen, options):
    """Runs the chosen programs on each allocator and returns the result that is written as JSON."""
    build = contenders.build_directory(options.build)
    names = options.allocators.split(",") if options.allocators else None
    allocators = contenders.find_allocators(names, build, say)
    interpreters = list(dict.fromkeys(program.interpreter for program in chosen))
    if any(interpreter.is_server for interpreter in interpreters):
        contenders.command("redis-benchmark")
    launcher = Launcher(contenders.built(build, "measure"))
    probe = contenders.built(build, "start_probe")
    facts = machine.describe()
    repetitions, budget = repetitions_of(options, BUDGET_SECONDS)
    say(f"{len(chosen)} programs, {len(allocators)} allocators, {repetitions} repetitions")
    bindings.check_all(interpreters, allocators, say)
    rows, repetitions = jobs.run_programs(chosen, allocators, launcher, repetitions, budget, say)
    starts = jobs.run_starts([("a small C program", [probe]), ("/bin/true", ["/bin/true"])], allocators, launcher)
    columns = [allocator.name for allocator in allocators]
    return {
        "machine": facts,
        "repetitions": repetitions,
        "baseline": contenders.BASELINE,
        "allocators": {a.name: {"path": a.path, "version": contenders.version(a.path)} for a in allocators},
        "interpreters": {i.name: {"path": contenders.command(i.program), "environment": i.environment,
                                  "version": contenders.version(contenders.command(i.program))} for i in interpreters},
        "rows": rows,
        "starts": starts,
        "summary": summary.summarise(rows, columns),
    }


def report(result):
    """Prints the tables and verdicts."""
    names = list(result["allocators"])
    print(machine.line(result["machine"]))
    for metric in ("wall_s", "cpu_s", "rss_mib"):
        print("\n" + table.metric_table(result["rows"], names, result["summary"], metric))
    print("\n" + table.start_table(result["starts"], names) + "\n")
    for line in summary.verdicts(result["summary"], len(result["rows"])) + summary.start_verdicts(result["starts"]):
        print(line)


def draw(result_path, folder, plot="plot.py"):
    """Draws the picture with whichever Python has Matplotlib: Debian's package installs it for /usr/bin/python3."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), plot)
    pythons = [sys.executable] + ["/usr/bin/python3"] * (sys.executable != "/usr/bin/python3")
    for python in pythons:
        if subprocess.run([python, "-c", "import matplotlib"], capture_output=True, check=False).returncode == 0:
            run = subprocess.run([python, script, result_path, folder], capture_output=True, text=True, check=False)
            if run.returncode != 0:
                raise Failure("the picture could not be drawn: " + run.stderr.strip()[-300:])
            return run.stdout.split("\n")[:-1]
    raise Failure("Matplotlib is not installed, so there is no picture: apt-get install python3-matplotlib")


def save(result, name, folder):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
    return path


def run_preloaded(chosen, options):
    """Measures, saves, prints and draws; returns a line for each failure."""
    result = measure(chosen, options)
    path = save(result, "interpreters.json", options.out)
    report(result)
    print(f"\nResults: {path}")
    for picture in draw(path, options.out):
        print(f"Picture: {picture}")
    return summary.failures(result["rows"]) + summary.failures(result["starts"])


def run_part(part, name, chosen, options, budget_seconds):
    """The same for a part with heaps of its own (the module `part`), without a picture."""
    facts = machine.describe()
    repetitions, budget = repetitions_of(options, budget_seconds)
    result = {"machine": facts, **part.measure(chosen, contenders.build_directory(options.build), repetitions, budget, say)}
    path = save(result, name, options.out)
    print("\n" + machine.line(facts))
    part.report(result)
    print(f"\nResults: {path}")
    return summary.failures(result["rows"])


def run_scheme(chosen, options):
    budget = PART_BUDGET_SECONDS if options.scheme else SCHEME_BUDGET_SECONDS
    return run_part(scheme, "scheme.json", chosen, options, budget)


def run_collected(chosen, options):
    budget = PART_BUDGET_SECONDS if options.collect else COLLECTED_BUDGET_SECONDS
    return run_part(collected, "collected.json", chosen, options, budget)


def run_latency(options):
    """The delays alone: not a part of the default job."""
    facts = machine.describe()
    result = {"machine": facts, **latency.measure(contenders.build_directory(options.build), options, say)}
    path = save(result, "latency.json", options.out)
    print("\n" + machine.line(facts))
    latency.report(result)
    print(f"\nResults: {path}")
    for picture in draw(path, options.out, "latency_plot.py"):
        print(f"Picture: {picture}")
    return summary.failures(result["rows"])


def main(arguments):
    options = parse(arguments)
    if options.list:
        print("\n".join(program.title for _, found in parts(options) for program in found))
        return 0
    if options.micro:
        compare = os.path.join(contenders.ROOT, "bench", "micro", "compare.py")
        passed = [argument for argument in arguments if argument != "--micro"]
        return subprocess.run([sys.executable, compare, *passed], check=False).returncode
    if options.latency:
        failed = run_latency(options)
    else:
        failed = [line for run, chosen in chosen_parts(options) if chosen for line in run(chosen, options)]
    for line in failed:
        say(line)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as failure:
        say(f"bench/run: {failure}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("\nbench/run: stopped")
        sys.exit(130)
