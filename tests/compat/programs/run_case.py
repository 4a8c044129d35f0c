"""Runs one program on glibc's malloc and on a preloaded one, and compares what it prints.

usage: run_case.py --library FILE [--hintless FILE [--old-kernel]] [--limits KIB,KIB...] CASE

With --hintless both runs are traced by it; with --limits the comparison is made under each address space limit that the
run with glibc survives.
"""

import argparse
import difflib
import os
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cases import CASES  # noqa: E402
from runner import Failure, Runner  # noqa: E402

# The smallest limit that each program is known to survive on glibc: were one to be skipped there, the test would be void.
MUST_SURVIVE_KIB = 2_000_000


def measured(name, runner):
    begin = time.monotonic()
    runner.check_preload()
    output = CASES[name](runner)
    print(f"{name}: {len(output)} bytes in {time.monotonic() - begin:.1f} s on {runner.describe()}", flush=True)
    if len(output) < 100:
        raise Failure(f"{name} printed next to nothing: {output!r}")
    return output


def show_difference(expected, found):
    lines = difflib.unified_diff(expected.decode(errors="replace").splitlines(),
                                 found.decode(errors="replace").splitlines(), "glibc", "preloaded", lineterm="", n=1)
    for number, line in enumerate(lines):
        if number == 40:
            print("...")
            break
        print(line[:300])


def compare(name, work, library, wrapper, limit_kib):
    """Returns True if the outputs are equal, or None if glibc does not survive the limit either."""
    try:
        expected = measured(name, Runner(work, None, wrapper, limit_kib))
    except Failure as failure:
        if not limit_kib or limit_kib >= MUST_SURVIVE_KIB:
            raise
        print(f"{name}: glibc does not survive ulimit -v {limit_kib}: {str(failure).splitlines()[0][:150]}")
        return None
    found = measured(name, Runner(work, library, wrapper, limit_kib))
    if expected == found:
        return True
    show_difference(expected, found)
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True)
    parser.add_argument("--hintless")
    parser.add_argument("--old-kernel", action="store_true", help="with --hintless: without MAP_FIXED_NOREPLACE too")
    parser.add_argument("--limits", default="")
    parser.add_argument("case", choices=sorted(CASES))
    options = parser.parse_args()
    library = os.path.abspath(options.library)
    if not os.path.exists(library):
        print(f"FAILED: there is no {library}")
        return 1
    wrapper = []
    if options.hintless:
        wrapper = [options.hintless] + (["--old-kernel"] if options.old_kernel else []) + ["--"]
    limits = [int(limit) for limit in options.limits.split(",")] if options.limits else [None]
    work = tempfile.mkdtemp(prefix="compat")
    try:
        answers = [compare(options.case, work, library, wrapper, limit) for limit in limits]
    except Failure as failure:
        print(f"FAILED: {failure}")
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if False in answers:
        print(f"FAILED: {options.case} prints something else than on glibc")
        return 1
    print(f"{options.case}: equal output in {answers.count(True)} comparison(s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
