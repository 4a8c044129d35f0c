"""A program in a control group with half of the memory that it takes without: it must live, and print the same.

usage: cgroup_test.py PROGRAM

The kernel kills who exceeds its group's limit; nobody sets an option of the heap here. Exit status 77, and a reason, where
no group with a limit can be made: that takes root, and a memory controller of version 1 or 2 which is handed down.
"""
import contextlib
import os
import signal
import subprocess
import sys

LIVE_MIB = 24
GARBAGE_MIB = 1024
ATTEMPTS = 3
SKIPPED = 77


class NoGroup(Exception):
    """No group can be made here."""


def own_path(controller):
    """Of this process in the controller's hierarchy; "" is version 2's."""
    with open("/proc/self/cgroup", encoding="ascii") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if controller in controllers.split(","):
                return path
    return None


def mounts():
    """(controller, where, which part of the hierarchy) of the memory controller's, version 2's first."""
    found = []
    with open("/proc/self/mountinfo", encoding="ascii") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            kind, _, options = rest.split(" ", 2)
            _, _, _, root, where, _ = fields.split(" ", 5)
            if kind == "cgroup2":
                found.insert(0, ("", where, root))
            elif kind == "cgroup" and "memory" in options.rstrip().split(","):
                found.append(("memory", where, root))
    return found


class Group:
    """A group of our own beneath that of this process."""

    FILES = {"": ("memory.max", "memory.peak"), "memory": ("memory.limit_in_bytes", "memory.max_usage_in_bytes")}

    def __init__(self, controller, where, root):
        path = own_path(controller)
        if path is None or os.path.commonpath([path, root]) != root:
            raise NoGroup(f"{where} does not show this process's group")
        self.limit_name, self.peak_name = self.FILES[controller]
        parent = os.path.join(where, os.path.relpath(path, root))
        self.directory = os.path.join(parent, f"acre-test-{os.getpid()}")
        try:
            os.mkdir(self.directory)
        except OSError as error:
            raise NoGroup(f"no group can be made in {parent}: {error.strerror}") from error
        if not os.path.exists(self.file(self.limit_name)) or not os.path.exists(self.file(self.peak_name)):
            self.remove()
            raise NoGroup(f"{parent} hands no memory controller down")

    def file(self, name):
        return os.path.join(self.directory, name)

    def remove(self):
        os.rmdir(self.directory)

    def limit(self, size):
        with open(self.file(self.limit_name), "w", encoding="ascii") as file:
            file.write(str(size))

    def peak(self):
        with open(self.file(self.peak_name), encoding="ascii") as file:
            return int(file.read())

    def run(self, command):
        def enter():
            with open(self.file("cgroup.procs"), "w", encoding="ascii") as file:
                file.write("0")

        return subprocess.run(command, preexec_fn=enter, capture_output=True, text=True, check=False)


def make_group():
    reasons = []
    for mount in mounts():
        try:
            return Group(*mount)
        except NoGroup as reason:
            reasons.append(str(reason))
    raise NoGroup("; ".join(reasons) or "no control groups are mounted")


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    command = [sys.argv[1], str(LIVE_MIB), str(GARBAGE_MIB)]
    try:
        group = make_group()
    except NoGroup as reason:
        print(f"skipped: {reason}")
        return SKIPPED
    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.callback(group.remove)
        free = group.run(command)
        taken = group.peak()
        half = taken // 2
        group.limit(half)
        # Where others have the CPUs the collector may have had its share by the clock when it should begin: not each time.
        for _ in range(ATTEMPTS):
            limited = group.run(command)
            if limited.returncode != -signal.SIGKILL:
                break
    print(f"takes {taken >> 10} KiB: {free.stdout.strip()}; {free.stderr.strip()}")
    print(f"in {half >> 10} KiB: status {limited.returncode}: {limited.stdout.strip()}; {limited.stderr.strip()}")
    if free.returncode != 0 or not free.stdout:
        print("FAILED: without a limit")
        return 1
    if limited.returncode != 0 or limited.stdout != free.stdout:
        print("FAILED: killed, or another result" if limited.returncode < 0 else "FAILED: another result")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
