"""Counts the instructions of one malloc and free of 32 bytes on each preloaded allocator, and of the collected heap.

Times on a shared machine move by tens of percents; instructions do not. Callgrind runs instructions_probe with two counts of
blocks, and the difference of the two divided by the difference of the counts is what one pair takes, start-up cancelled. The
loop and the jump through the linkage table are in it; the row "loop" shows the loop alone. For the collected heap it is
collect_probe, and one allocation of 32 bytes (with what refilling and clearing take), or one store of a pointer.
"""
import argparse
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "report"))
# The report's modules are found through the line above.
import contenders  # noqa: E402
from failure import Failure  # noqa: E402

MODES = ("lifo", "batch", "reverse", "loop")
COLLECTED_HEAP = contenders.Allocator("collected", "")
COLLECTED_MODES = ("allocate", "write", "loop")
TOLERANCE = 0.02
FEW, MANY = 50_000, 150_000  # Blocks: whole batches, and enough that caches are filled in both runs.
COLLECTED = re.compile(r"Collected : (\d+)")


def collected(program, mode, count, allocator):
    """Instructions of one whole run."""
    environment = {**os.environ, **(allocator.environment() if allocator.path else {})}
    run = subprocess.run([contenders.command("valgrind"), "--tool=callgrind", "--callgrind-out-file=/dev/null", program, mode, str(count)],
                         env=environment, capture_output=True, text=True, timeout=300, check=False)
    found = COLLECTED.search(run.stderr)
    if run.returncode != 0 or not found:
        raise Failure(f"callgrind of {mode} on {allocator.name} ended with {run.returncode}: {run.stderr.strip()[-200:]}")
    return int(found.group(1))


def per_pair(program, mode, allocator):
    return (collected(program, mode, MANY, allocator) - collected(program, mode, FEW, allocator)) / (MANY - FEW)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", metavar="DIR", help="the build directory (default: build/release)")
    parser.add_argument("--allocators", metavar="A,B", help=f"only these of {', '.join(contenders.ALL)}; jemalloc is always in")
    parser.add_argument("--json", metavar="FILE", help="also write the counts there")
    parser.add_argument("--check", metavar="FILE", help="compare with the counts in FILE, as --json wrote them: more than "
                        f"{TOLERANCE:.0%}% above is an error (bench/micro/golden/instructions.json is g++ 12's)")
    options = parser.parse_args(arguments)
    build = contenders.build_directory(options.build)
    allocators = contenders.find_allocators(options.allocators.split(",") if options.allocators else None, build,
                                            lambda text: print(text, file=sys.stderr))
    program = contenders.built(build, "instructions_probe")
    print("Instructions for one malloc and free of 32 bytes\n" + " " * 12 + "".join(mode.rjust(10) for mode in MODES))
    counts = {}
    for allocator in allocators:
        counts[allocator.name] = {mode: per_pair(program, mode, allocator) for mode in MODES}
        print(allocator.name.ljust(12) + "".join(f"{counts[allocator.name][mode]:10.1f}" for mode in MODES), flush=True)
    probe = contenders.built(build, "collect_probe")
    counts[COLLECTED_HEAP.name] = {mode: per_pair(probe, mode, COLLECTED_HEAP) for mode in COLLECTED_MODES}
    print("\nInstructions for one operation of the collected heap\n" + " " * 12 + "".join(mode.rjust(10) for mode in COLLECTED_MODES))
    print(" " * 12 + "".join(f"{counts[COLLECTED_HEAP.name][mode]:10.1f}" for mode in COLLECTED_MODES), flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(counts, file, indent=1)
    return check(counts, options.check) if options.check else 0


def check(counts, path):
    """Compares with golden counts; says each one that has grown, and each that could be lowered."""
    with open(path, encoding="utf-8") as file:
        golden = json.load(file)
    grown = 0
    for name, modes in golden.items():
        for mode, expected in modes.items():
            if name not in counts:
                raise Failure(f"{path} has counts of {name}, which was not run")
            now = counts[name][mode]
            if now > expected * (1 + TOLERANCE):
                grown += 1
                print(f"{name} {mode}: {now:.1f} instructions, golden {expected:.1f}")
            elif now < expected * (1 - TOLERANCE):
                print(f"{name} {mode}: {now:.1f} instructions, golden {expected:.1f}: lower the golden count")
    print("no count has grown" if grown == 0 else f"{grown} counts have grown")
    return 1 if grown else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as failure:
        print(f"instructions.py: {failure}", file=sys.stderr)
        sys.exit(1)
