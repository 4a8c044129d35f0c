"""The programs and the work they do. Each case is a function that gets a Runner and returns bytes to be compared.

Whatever differs from run to run by nature (dates, process numbers, paths) is fixed or left out.
"""

import os
import shutil
import socket
import time

from redis_commands import commands
from runner import Failure, need

HERE = os.path.dirname(os.path.abspath(__file__))
WORK = os.path.join(HERE, "work")

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def fresh(run, name):
    """An empty folder of this name in the work folder: the same path for both runs, so that outputs can be equal."""
    path = os.path.join(run.work, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


@case
def python(run):
    interpreter = need("python3", "/usr/bin/python3")
    return run.run(interpreter, os.path.join(WORK, "work.py"))


@case
def python_malloc(run):
    # Every object reaches malloc; as shipped, CPython asks for 1 MiB arenas only.
    run.environment["PYTHONMALLOC"] = "malloc"
    return python(run)


@case
def lua(run):
    return run.run(need("lua5.4"), os.path.join(WORK, "work.lua"))


@case
def perl(run):
    return run.run(need("perl", "/usr/bin/perl"), os.path.join(WORK, "work.pl"))


@case
def ruby(run):
    return run.run(need("ruby", "/usr/bin/ruby"), os.path.join(WORK, "work.rb"))


def answers(path):
    """A server listens there. Its file is there a moment before."""
    with socket.socket(socket.AF_UNIX) as end:
        try:
            end.connect(path)
        except OSError:
            return False
    return True


@case
def redis(run):
    folder = fresh(run, "redis")
    server, client = need("redis-server"), need("redis-cli")
    place = os.path.join(folder, "s")
    options = ["--port", "0", "--unixsocket", place, "--dir", folder, "--save", "", "--appendonly", "no"]
    process = run.start([server, *options], stdout=open(os.path.join(folder, "log"), "wb"))
    try:
        deadline = time.monotonic() + 60
        while not answers(place):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failure("redis-server did not come up on " + run.describe() + ": "
                              + open(os.path.join(folder, "log")).read()[-2000:])
            time.sleep(0.02)
        output = run.run(client, "-s", place, data=commands())
        run.run(client, "-s", place, "shutdown", "nosave")
    finally:
        if process.poll() is None:
            try:
                process.wait(timeout=20)
            except Exception:
                process.kill()
                raise Failure("redis-server did not end after shutdown on " + run.describe())
    if process.returncode != 0:
        raise Failure(f"redis-server ended with {process.returncode} on {run.describe()}")
    dump = os.path.join(folder, "dump.rdb")
    if not os.path.getsize(dump) > 1000:
        raise Failure("redis-server's forked child wrote no dump")
    return output


@case
def git(run):
    program = need("git")
    folder = fresh(run, "git")
    run.environment.update({"GIT_AUTHOR_DATE": "2001-02-03T04:05:06Z", "GIT_COMMITTER_DATE": "2001-02-03T04:05:06Z",
                            "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "C",
                            "GIT_COMMITTER_EMAIL": "c@example.org", "GIT_CONFIG_NOSYSTEM": "1"})

    def do(*arguments):
        return run.run(program, "-c", "gc.auto=0", *arguments, cwd=folder)

    do("init", "-q", "-b", "main", ".")
    for number in range(12):
        for name in range(25):
            with open(os.path.join(folder, f"file{name}"), "w") as file:
                file.writelines(f"{line * (name + 1) % 977} {line if line % 12 != number else 'changed'}\n"
                                for line in range(400))
        do("add", ".")
        do("commit", "-q", "-m", f"change {number}")
    output = do("log", "--stat", "-p", "--format=%H %s") + do("gc", "-q") + do("fsck", "--strict")
    return output + do("rev-list", "--all", "--objects") + do("blame", "file3") + do("diff", "HEAD~5", "--stat")


def compile_and_run(run, compiler, source, language):
    folder = fresh(run, language)
    assembly, program = os.path.join(folder, "work.s"), os.path.join(folder, "work")
    run.run(compiler, "-O2", "-S", source, "-o", assembly)
    run.run(compiler, "-O1", "-g", source, "-o", program)
    with open(assembly, "rb") as text:
        return text.read() + run.run(program)


@case
def gcc(run):
    return compile_and_run(run, need("gcc"), os.path.join(WORK, "work.c"), "gcc")


@case
def gxx(run):
    return compile_and_run(run, need("g++"), os.path.join(WORK, "work_cxx.cc"), "gxx")


@case
def cmake(run):
    program = need("cmake", "/usr/bin/cmake")
    folder = fresh(run, "cmake")
    output = run.run(program, "-S", os.path.join(WORK, "project"), "-B", folder, "-DCMAKE_BUILD_TYPE=Release",
                     "-G", "Unix Makefiles")
    run.run(program, "--build", folder)
    lines = [line for line in output.splitlines() if not line.startswith((b"-- Configuring done", b"-- Generating done"))]
    return b"\n".join(lines) + run.run(os.path.join(folder, "hello"))


@case
def shell(run):
    return run.run("sh", os.path.join(WORK, "work.sh"))
