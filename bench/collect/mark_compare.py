#!/usr/bin/env python3
"""Marking beside Boehm's collector: graphs of ten shapes, each built and collected in a process of its own.

    bench/collect/mark_compare.py [--build build/release] [--mib 1024] [--rounds 3] [--collections 3] [--shape TEXT]

Contenders take turns within each round, so that a slow moment of the machine meets all of them. For each shape and number
of mark threads it prints millions of objects and MB of objects marked in a second of CPU, and the stop in milliseconds: the
median over rounds of each process's median, with the least and the greatest; then the ratio of objects for each CPU second,
and of the stops.
"""
import argparse
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench", "report"))
import machine  # noqa: E402

HEAPS = ("acre", "boehm")


def collect(options, heap, shape, threads):
    """Medians of one process: objects and MB for each CPU second, the stop in ms."""
    program = os.path.join(options.build, "bench", "collect", f"mark_probe_{heap}")
    command = [program, "--shape", shape, "--mib", str(options.mib), "--collections", str(options.collections),
               "--threads", str(threads)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        sys.exit(f"mark_compare: {' '.join(command)} failed: {answer.stderr.strip()}")
    rows = [[int(word) for word in line.split()] for line in answer.stdout.splitlines()]
    objects, size = rows[0][0], rows[0][1]
    cpu = statistics.median(row[2] for row in rows) * 1e-9
    return objects / cpu * 1e-6, size / cpu * 1e-6, statistics.median(row[3] for row in rows) * 1e-6


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def row(options, shape):
    found = {(heap, threads): [] for threads in options.threads for heap in HEAPS}
    for turn in range(options.rounds):
        order = list(found)
        for key in order[turn % len(order):] + order[:turn % len(order)]:
            found[key].append(collect(options, key[0], shape, key[1]))
    for threads in options.threads:
        ours, theirs = found["acre", threads], found["boehm", threads]
        median = [[statistics.median(column) for column in zip(*runs)] for runs in (ours, theirs)]
        cells = [shape, str(threads)]
        for runs in (ours, theirs):
            objects, size, stop = zip(*runs)
            cells += [spread(objects, 1), f"{statistics.median(size):.0f}", spread(stop, 0)]
        cells += [f"{median[0][0] / median[1][0]:.1f}", f"{median[1][2] / median[0][2]:.1f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--collections", type=int, default=3)
    parser.add_argument("--shape", default="", help="only shapes whose name contains this")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    probe = os.path.join(options.build, "bench", "collect", "mark_probe_acre")
    shapes = subprocess.run([probe, "--shapes"], capture_output=True, text=True, check=True).stdout.splitlines()
    print(machine.line(machine.describe()))
    print(f"{options.mib} MiB live, {options.rounds} rounds of {options.collections} collections\n")
    print("| shape | threads | Acre: M objects a CPU s | MB | stop, ms | Boehm: M objects a CPU s | MB | stop, ms |"
          " objects, ratio | stop, ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for shape in shapes:
        if options.shape in shape:
            row(options, shape)


if __name__ == "__main__":
    main()
