"""Runs a fuzz target for some seconds and prints the seed, so that a failure can be repeated.

usage: smoke.py TARGET SECONDS

TEST_SEED in the environment repeats a run. A failing input is kept in the working folder, and named.
"""

import os
import random
import subprocess
import sys


def main():
    target, seconds = sys.argv[1], sys.argv[2]
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().randrange(1, 2**31))
    print(f"TEST_SEED={seed}", flush=True)
    command = [target, f"-seed={seed}", f"-max_total_time={seconds}", "-max_len=8192", "-timeout=30", "-rss_limit_mb=2048",
               "-print_final_stats=1", "-verbosity=1"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    print("\n".join(done.stdout.splitlines()[-40:]))
    if done.returncode != 0:
        print(f"FAILED with status {done.returncode}; repeat with TEST_SEED={seed}")
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
