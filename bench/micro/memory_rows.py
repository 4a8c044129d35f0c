"""The memory of a process after a burst of small objects, and with many threads: the programs burst and thread_memory."""
import os
import subprocess

import contenders
import statistics_of as stats
from failure import Failure

THREAD_RUNS = 3
THREADS_AIM_MIB = 35  # Over glibc's malloc.
RETURNED_AIM = 1.2    # Of what is live 10 s after the burst, which is what the process held before it.
FREE_AIM_NS = 15


def run(program, allocator):
    """The numbers that one run of the program prints, by their keys."""
    done = subprocess.run([program], env={**os.environ, **allocator.environment()}, capture_output=True, text=True, timeout=300,
                          check=False)
    if done.returncode != 0:
        raise Failure(f"{os.path.basename(program)} on {allocator.name} ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return {key: float(value) for key, value in (line.split() for line in done.stdout.splitlines())}


def measure(build, allocators, say):
    burst, threads = contenders.built(build, "burst"), contenders.built(build, "thread_memory")
    result = {}
    for allocator in allocators:
        say(f"memory: {allocator.name}")
        runs = [run(threads, allocator)["rss_mib"] for _ in range(THREAD_RUNS)]
        result[allocator.name] = {"burst": run(burst, allocator), "threads_rss_mib": runs}
    return result


def table(result, names):
    keys = ("rss_start_mib", "rss_full_mib", "rss_0s_mib", "rss_1s_mib", "rss_10s_mib", "malloc_ns", "free_ns")
    lines = ["1 GiB of blocks of 16 to 255 B, all freed, then asleep; 1000 threads that hold 100 KiB each",
             " " * 24 + "".join(name.rjust(12) for name in names)]
    for key in keys:
        lines.append(f"burst {key}".ljust(24) + "".join(f"{result[name]['burst'][key]:12.1f}" for name in names))
    lines.append("threads rss_mib".ljust(24) + "".join(f"{stats.median(result[name]['threads_rss_mib']):12.1f}" for name in names))
    return "\n".join(lines + verdicts(result))


def verdicts(result):
    if "acre" not in result:
        return []
    burst = result["acre"]["burst"]
    # Nothing of the burst is live: what may stay is a fifth over the start, or over 16 MiB for a process of almost no size.
    limit = RETURNED_AIM * max(burst["rss_start_mib"], 16)
    claims = [("RSS 10 s after the burst", burst["rss_10s_mib"], limit, "MiB"), ("a free of the burst", burst["free_ns"], FREE_AIM_NS, "ns")]
    if "glibc" in result:
        over = stats.median(result["acre"]["threads_rss_mib"]) - stats.median(result["glibc"]["threads_rss_mib"])
        claims.append(("1000 threads over glibc", over, THREADS_AIM_MIB, "MiB"))
    return [f"{'reached' if value <= aim else 'MISSED':8} {what}: {value:.1f} {unit} (aim: at most {aim:.1f})"
            for what, value, aim, unit in claims]
