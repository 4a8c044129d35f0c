"""The measuring itself: every program on every allocator, interleaved, and the start of processes."""
import time

from progress import Progress

LEAST_REPETITIONS = 3    # Of a run that has a budget of time: fewer give no median.
EXPECTED_SECONDS = 0.55   # Of one run; only the estimate of the remaining time depends on it.
START_RUNS = 200
START_EXPECTED = 0.003


def rotated(items, by):
    by %= len(items)
    return items[by:] + items[:by]


def run_programs(programs, allocators, launcher, repetitions, budget_seconds, say, expected_seconds=EXPECTED_SECONDS):
    """Rows with the samples of each allocator, in order of repetition, and how many repetitions there were.

    Allocators run right after one another for each program, so that a slow moment of the machine meets them all; who is
    first changes with the program and with the repetition. A run that fails is kept as a failure: the row counts for no
    mean, and the whole job ends with an error. On a machine so slow that the budget would be overrun, whole repetitions
    are left out, and the user is told.
    """
    rows = [{"program": p.name, "interpreter": p.interpreter.name, "title": p.title, "failures": {},
             "samples": {a.name: [] for a in allocators}} for p in programs]
    steps = repetitions * len(programs) * len(allocators)
    progress = Progress(steps * expected_seconds, steps)
    start = time.monotonic()
    done = 0
    while done < repetitions:
        for index, (row, program) in enumerate(zip(rows, programs)):
            for allocator in rotated(allocators, done + index):
                if allocator.name not in row["failures"]:
                    keep(row, allocator.name, launcher.run(program, allocator))
                progress.step(expected_seconds, f"{program.title} on {allocator.name}")
        done += 1
        elapsed = time.monotonic() - start
        if LEAST_REPETITIONS <= done < repetitions and elapsed * (done + 1) / done > budget_seconds:
            say(f"\nthe time for this part is up: {elapsed:.0f} s for {done} repetitions, the other {repetitions - done} are left out "
                "(--full or --repetitions take the time they need)")
            break
    for row in rows:
        compare_outputs(row)
    return rows, done


def keep(row, name, sample):
    if "failure" in sample:
        row["failures"][name] = sample["failure"]
    else:
        row["samples"][name].append(sample)


def compare_outputs(row):
    """Every run must print what the first one on glibc printed (on the first column where glibc was not chosen)."""
    reference_name = "glibc" if row["samples"].get("glibc") else next((n for n, s in row["samples"].items() if s), None)
    if reference_name is None:
        return
    row["output"] = row["samples"][reference_name][0]["output"]
    for name, samples in row["samples"].items():
        wrong = [s["output"] for s in samples if s["output"] != row["output"]]
        if wrong:
            row["failures"][name] = f"printed {wrong[0].strip()[:80]!r}, on {reference_name} {row['output'].strip()[:80]!r}"
        for sample in samples:
            del sample["output"]
            sample.pop("errors", None)


def run_starts(commands, allocators, launcher, runs=START_RUNS):
    """The cost of starting a process, for each of `commands` (name, argument list), interleaved run by run."""
    rows = [{"program": name, "title": name, "failures": {}, "samples": {a.name: [] for a in allocators}} for name, _ in commands]
    steps = runs * len(commands) * len(allocators)
    progress = Progress(steps * START_EXPECTED, steps)
    for number in range(runs):
        for row, (name, arguments) in zip(rows, commands):
            for allocator in rotated(allocators, number):
                keep(row, allocator.name, launcher.run_command(arguments, allocator.environment()))
                progress.step(START_EXPECTED, f"start of {name}")
    for row in rows:
        compare_outputs(row)
    return rows
