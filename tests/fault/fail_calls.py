"""Makes every memory call of a program fail in turn, and judges how the program ends.

usage: fail_calls.py --hintless FILE [--library FILE] [--from-start] CALL[:ERRNO] PROGRAM [ARGUMENTS...]

For N = 1, 2, 3... (beyond 150 in growing steps) the Nth call fails once, until a run makes no Nth call; then the Nth and
all later calls fail, for N = 1, 2, 4, 8... With --sparse N is 1, 2, 4, 8... for the single failures, and 1 for the
lasting one. The program must end with status 0 after printing "done", or with one clear line on standard error; never
by SIGSEGV, SIGBUS, a hang, or several lines.

With --from-start the calls of the dynamic loader and of the library's own start are counted too. The loader's own words
then count as clear; and where it crashes (it does when its first mmap fails), the same call must make it crash without
the library as well.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile

EACH_CALL = 150  # Beyond so many calls the steps grow, by a tenth of the number reached.
LIMIT_S = 60


def judge(status, output, errors, from_start):
    """None if the end was a good one, or what was wrong with it."""
    lines = errors.splitlines()
    if status == 0 and "done" in output:
        # The loader may say that it goes on without the library.
        said = [line for line in lines if not (from_start and line.startswith("ERROR: ld.so: object"))]
        return None if not said else f"ended well, but printed {lines}"
    if status in (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGILL):
        return f"crashed by signal {-status}"
    if status == -signal.SIGABRT and len(lines) == 1 and lines[0].startswith("acre: "):
        return None
    loader_words = ("error while loading shared libraries", "cannot allocate memory", "ld.so", "cannot map",
                    "failed to map", "Cannot allocate memory", "out of memory", "cannot allocate TLS")
    if from_start and status in (1, 126, 127) and any(word in errors for word in loader_words):
        return None
    return f"status {status}, output {output!r}"


class Trial:
    def __init__(self, options):
        self.options = options
        self.log = tempfile.NamedTemporaryFile(prefix="fault")
        self.problems = []
        self.runs = 0
        self.clear_lines = 0
        self.refusals = 0

    def execute(self, rule, library):
        """Runs the program with one rule; returns its status, its output and its standard error."""
        options = self.options
        command = [options.hintless, "--old-kernel" if options.old_kernel else "--keep-hints", "--fail", rule,
                   "--log", self.log.name]
        if not options.from_start:
            command.append("--after-start")
        if library:
            command += ["--env", "LD_PRELOAD=" + library]
        command.append("--")
        environment = {"PATH": os.environ["PATH"]}
        command += [options.program, *options.arguments]
        try:
            done = subprocess.run(command, capture_output=True, env=environment, timeout=LIMIT_S,
                                  stdin=subprocess.DEVNULL)
            return done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")
        except subprocess.TimeoutExpired:
            return None, "", f"still running after {LIMIT_S} s\n"

    def run(self, rule):
        """Tries one rule; returns how many calls were made to fail, and how many there were."""
        options = self.options
        status, output, errors = self.execute(rule, options.library)
        with open(self.log.name) as log:
            _, _, calls, _, failed = log.read().split()[:5]
        self.runs += 1
        problem = judge(status, output, errors, options.from_start)
        if problem and options.from_start and options.library:
            plain_status, plain_output, plain_errors = self.execute(rule, None)
            if plain_status == status and judge(plain_status, plain_output, plain_errors, True):
                print(f"{rule}: the loader does not survive it by itself ({problem})", flush=True)
                problem = None
        if problem:
            self.problems.append(f"{rule}: {problem}; standard error: {errors[-1500:]!r}")
            print("PROBLEM " + self.problems[-1], flush=True)
        elif status != 0:
            self.clear_lines += 1
            print(f"{rule}: {errors.strip()}", flush=True)
        elif "done, 0 refusals" not in output:
            self.refusals += 1
        return int(failed), int(calls)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hintless", required=True)
    parser.add_argument("--library")
    parser.add_argument("--from-start", action="store_true")
    parser.add_argument("--old-kernel", action="store_true",
                        help="ignore hints and MAP_FIXED_NOREPLACE, so that the heap must ask mincore")
    parser.add_argument("--sparse", action="store_true", help="for calls that come by the ten thousand")
    parser.add_argument("--must-call", action="store_true", help="fail if the program never makes the call")
    parser.add_argument("call")
    parser.add_argument("program")
    parser.add_argument("arguments", nargs="*")
    options = parser.parse_args()
    name, _, error = options.call.partition(":")
    error = error or "ENOMEM"
    trial = Trial(options)

    nth, calls = 1, 0
    while True:
        failed, calls = trial.run(f"{name}:{nth}:{error}")
        if failed == 0 or len(trial.problems) > 5:
            break
        nth += nth if options.sparse else 1 if nth < EACH_CALL else nth // 10
    nth_forever = 1
    while nth_forever <= calls and len(trial.problems) <= 5:
        trial.run(f"{name}:{nth_forever}:{error}:forever")
        nth_forever *= 2
        if options.sparse:
            break

    print(f"{name} {error}: {trial.runs} runs over {calls} calls; {trial.refusals} ended well with refusals, "
          f"{trial.clear_lines} with one clear line, {len(trial.problems)} badly")
    if options.must_call and calls == 0:
        print(f"FAILED: the program never calls {name}: the test proves nothing")
        return 1
    if trial.problems:
        print("FAILED:", *trial.problems[:6], sep="\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
