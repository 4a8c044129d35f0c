"""Runs commands on a chosen malloc, under a chosen kernel and limits, and hands back what they printed."""

import os
import resource
import shutil
import subprocess

KIB = 1024


class Failure(Exception):
    """A command ended otherwise than it should."""


class Runner:
    """One way of running commands: with or without a preload, through a wrapper, under an address space limit."""

    def __init__(self, work, library=None, wrapper=(), limit_kib=None, environment=None):
        self.work = work
        self.library = library
        self.wrapper = list(wrapper)
        self.limit_kib = limit_kib
        # A fixed environment, so that two runs differ in nothing but the malloc.
        self.environment = {"PATH": os.environ["PATH"], "HOME": work, "LC_ALL": "C.UTF-8", "TZ": "UTC",
                            "PYTHONHASHSEED": "0", "PERL_HASH_SEED": "0", "TMPDIR": work}
        self.environment.update(environment or {})

    def describe(self):
        parts = [os.path.basename(self.library) if self.library else "glibc"]
        if self.wrapper:
            parts.append("under " + os.path.basename(self.wrapper[0]))
        if self.limit_kib:
            parts.append(f"ulimit -v {self.limit_kib}")
        return ", ".join(parts)

    def command(self, command):
        """The preload is set by env(1), inside the wrapper: wrapper and driver keep their own malloc."""
        preload = ["env", "LD_PRELOAD=" + self.library] if self.library else []
        return self.wrapper + preload + list(command)

    def _limit(self):
        if self.limit_kib:
            resource.setrlimit(resource.RLIMIT_AS, (self.limit_kib * KIB, self.limit_kib * KIB))

    def start(self, command, **options):
        return subprocess.Popen(self.command(command), env=self.environment, preexec_fn=self._limit,
                                cwd=options.pop("cwd", self.work), **options)

    def run(self, *command, data=b"", cwd=None, want_status=0, timeout=300):
        """Standard output of the command, which must end with the wanted status and say nothing of acre."""
        done = subprocess.run(self.command(command), input=data, capture_output=True, timeout=timeout,
                              env=self.environment, preexec_fn=self._limit, cwd=cwd or self.work)
        errors = done.stderr.decode(errors="replace")
        if done.returncode != want_status:
            raise Failure(f"{' '.join(command)[:200]}: status {done.returncode} on {self.describe()}\n{errors[-3000:]}")
        if "acre: " in errors or "ERROR: ld.so" in errors:
            raise Failure(f"{' '.join(command)[:200]}: complaints on {self.describe()}\n{errors[-3000:]}")
        return done.stdout

    def check_preload(self):
        """A preload that does not take effect would make every comparison pass."""
        name = os.path.basename(self.library) if self.library else None
        maps = self.run("cat", "/proc/self/maps").decode()
        if name and name not in maps:
            raise Failure(f"{name} is not mapped in a process on {self.describe()}")
        if not name and "acre" in maps:
            raise Failure("the run that should use glibc has something of acre mapped")


def need(name, *places):
    """The path of a program that must be there: a missing one is a failure, since tests/run installs them all."""
    for place in places:
        if os.access(place, os.X_OK):
            return place
    found = shutil.which(name)
    if not found:
        raise Failure(f"the program '{name}' is missing; tests/run installs what the tests need")
    return found
