"""Runs one test of CPython's own suite on glibc's malloc and on a preloaded one: the same tests must pass.

usage: cpython_suite.py --library FILE [--python-malloc] TEST

A test may fail without the preload too (a machine without a network, a container): then it may fail with it. One that
fails only with the preload is run a second time, because some of the suite's tests depend on how fast a machine is.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from runner import Failure, Runner  # noqa: E402


def find_python(test):
    """An interpreter that has the suite installed."""
    for candidate in ("/usr/bin/python3", shutil.which("python3"), sys.executable):
        if candidate and subprocess.run([candidate, "-c", f"import test.{test}"], capture_output=True).returncode == 0:
            return candidate
    raise Failure(f"no python3 with test.{test}; tests/run installs the suite (libpython3-testsuite)")


def outcomes(path):
    """Maps each test case to 'ok', 'failed' or 'skipped'."""
    found = {}
    for entry in xml.etree.ElementTree.parse(path).iter("testcase"):
        failed = entry.find("failure") is not None or entry.find("error") is not None or entry.get("result") == "error"
        skipped = entry.find("skipped") is not None
        found[entry.get("name")] = "failed" if failed else "skipped" if skipped else "ok"
    return found


def run_suite(python, test, runner):
    report = os.path.join(runner.work, "report.xml")
    if os.path.exists(report):
        os.remove(report)
    runner.check_preload()
    try:
        done = subprocess.run(runner.command([python, "-m", "test", "--timeout", "280", "--junit-xml", report, test]),
                              env=runner.environment, cwd=runner.work, capture_output=True, timeout=580,
                              stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as expired:
        raise Failure(f"{test} took more than {expired.timeout} s on {runner.describe()}") from expired
    text = (done.stdout + done.stderr).decode(errors="replace")
    if "acre: " in text:
        raise Failure(f"complaints on {runner.describe()}:\n" + text[-5000:])
    if not os.path.exists(report):
        raise Failure(f"{test} died with {done.returncode} on {runner.describe()}:\n" + text[-5000:])
    found = outcomes(report)
    counts = {kind: sum(value == kind for value in found.values()) for kind in ("ok", "failed", "skipped")}
    print(f"{test} on {runner.describe()}: {counts}, status {done.returncode}", flush=True)
    return found, text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True)
    parser.add_argument("--python-malloc", action="store_true", help="set PYTHONMALLOC=malloc in both runs")
    parser.add_argument("test")
    options = parser.parse_args()
    environment = {"PYTHONMALLOC": "malloc"} if options.python_malloc else {}
    work = tempfile.mkdtemp(prefix="cpython")
    try:
        python = find_python(options.test)
        plain, _ = run_suite(python, options.test, Runner(work, environment=environment))
        if not any(value == "ok" for value in plain.values()):
            raise Failure(f"nothing of {options.test} passes even on glibc")
        failing = None
        for _ in range(2):
            found, text = run_suite(python, options.test, Runner(work, os.path.abspath(options.library),
                                                                 environment=environment))
            now = {name for name, value in plain.items() if value == "ok" and found.get(name, "missing") != "ok"}
            failing = now if failing is None else failing & now
            if not failing:
                break
            print("not passed with the preload:", *sorted(failing), sep="\n  ")
        if failing:
            raise Failure(f"{len(failing)} tests pass on glibc only:\n" + text[-5000:])
    except Failure as failure:
        print(f"FAILED: {failure}")
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
