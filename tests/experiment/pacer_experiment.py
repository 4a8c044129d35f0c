"""pacer_experiment.py PROBE EXPERIMENT: runs both on a small and on a large heap and prints what they did. By the square root,
small heaps are collected less often than by the default policy, and large ones hold less and are collected more often.
"""
import subprocess
import sys

HEAPS = ((4, 256), (256, 1024))  # MiB that live, MiB of garbage.


def run(program, live, garbage):
    text = subprocess.run([program, str(live), str(garbage)], capture_output=True, text=True, check=True).stdout
    words = text.split()
    return {name: float(value) for name, value in zip(words[::2], words[1::2])}


def main():
    default, experiment = sys.argv[1:]
    failures = []
    print(f"{'live MiB':>8}  {'pacer':12}{'cycles':>8}{'peak MiB':>10}{'mark CPU ms':>13}")
    found = []
    for live, garbage in HEAPS:
        pair = []
        for name, program in (("default", default), ("square root", experiment)):
            result = run(program, live, garbage)
            pair.append(result)
            print(f"{live:>8}  {name:12}{result['cycles']:>8.0f}{result['peak_mib']:>10.1f}{result['mark_cpu_ms']:>13.0f}")
        found.append(pair)
    (small, small_root), (large, large_root) = found
    if not small_root["cycles"] < small["cycles"]:
        failures.append("the small heap is not collected less often")
    if not large_root["cycles"] > large["cycles"]:
        failures.append("the large heap is not collected more often")
    if not large_root["peak_mib"] < large["peak_mib"]:
        failures.append("the large heap does not hold less")
    for failure in failures:
        print(f"pacer_experiment: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
