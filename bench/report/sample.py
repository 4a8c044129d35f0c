"""Runs one program once on one allocator, and says what it cost."""
import os
import subprocess
import tempfile

import redis_server

DEADLINE_SECONDS = 120  # A program takes about half a second: this one hangs.


class Launcher:
    """Starts programs through the static helper `measure`, whose own size does not show in their peak RSS."""

    def __init__(self, path):
        self.path = path

    def run(self, program, allocator):
        if program.interpreter.is_server:
            return redis_server.run(program, allocator)
        return self.run_command(program.arguments(), {**program.environment(), **allocator.environment()})

    def run_command(self, arguments, environment):
        """A dictionary with the costs and the output, or with only "failure" saying what went wrong."""
        with tempfile.NamedTemporaryFile(prefix="acre-bench-") as output:
            try:
                run = subprocess.run([self.path, output.name, *arguments], env={**os.environ, **environment}, text=True,
                                     capture_output=True, timeout=DEADLINE_SECONDS, check=False)
            except subprocess.TimeoutExpired:
                return {"failure": f"still running after {DEADLINE_SECONDS} s"}
            if run.returncode != 0:
                return {"failure": run.stderr.strip() or f"the launcher ended with {run.returncode}"}
            fields = [int(field) for field in run.stdout.split()]
            with open(output.name, encoding="utf-8", errors="replace") as text:
                return {**interpret(fields, text.read(), run.stderr), "errors": run.stderr}


def interpret(fields, output, errors):
    wall_ns, user_us, system_us, rss_kib, status, minor_faults, _ = fields
    if status != 0:
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit code {os.WEXITSTATUS(status)}"
        last = errors.strip().splitlines()
        return {"failure": how + (f": {last[-1]}" if last else "")}
    return {
        "wall_s": wall_ns / 1e9,
        "cpu_s": (user_us + system_us) / 1e6,
        "system_s": system_us / 1e6,
        "rss_mib": rss_kib / 1024,
        "minor_faults": minor_faults,
        "output": output,
    }
