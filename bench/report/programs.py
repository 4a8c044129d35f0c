"""The programs of the main job: which interpreter runs what, and in which environment."""
import dataclasses
import os

from contenders import ROOT, command
from failure import Failure

SOURCES = os.path.join(ROOT, "bench", "interpreters")

# Hashes of strings are seeded at random unless told otherwise, which would change the order of work from run to run.
FIXED_SEEDS = {"PYTHONHASHSEED": "0", "PERL_HASH_SEED": "0", "PERL_PERTURB_KEYS": "0", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclasses.dataclass(frozen=True)
class Interpreter:
    """`check` is a short run that loads what the programs load: the binding check looks at it."""

    name: str
    program: str
    check: tuple
    folder: str
    environment: dict = dataclasses.field(default_factory=dict, hash=False)
    is_server: bool = False


@dataclasses.dataclass(frozen=True)
class Program:
    name: str
    interpreter: Interpreter
    source: str

    @property
    def title(self):
        return f"{self.interpreter.name} {self.name}"

    def arguments(self):
        return [command(self.interpreter.program), self.source]

    def environment(self):
        return {**FIXED_SEEDS, **self.interpreter.environment}


PYTHON_CHECK = ("-c", "import json, re, zlib")
INTERPRETERS = (
    # Every object from malloc, and CPython's own small-object pools in front of it, as it is shipped.
    Interpreter("python", "python3", PYTHON_CHECK, "python", {"PYTHONMALLOC": "malloc"}),
    Interpreter("python-shipped", "python3", PYTHON_CHECK, "python"),
    Interpreter("lua", "lua5.4", ("-e", "local x = {}"), "lua"),
    Interpreter("perl", "perl", ("-MJSON::PP", "-e", "1"), "perl"),
    Interpreter("ruby", "ruby", ("-e", "require 'json'; require 'zlib'"), "ruby"),
    Interpreter("redis", "redis-server", ("--version",), "redis", is_server=True),
)
SUFFIXES = {"python": ".py", "lua": ".lua", "perl": ".pl", "ruby": ".rb", "redis": ".commands"}


def all_programs():
    """Every program in bench/interpreters, interpreter by interpreter."""
    found = []
    for interpreter in INTERPRETERS:
        folder = os.path.join(SOURCES, interpreter.folder)
        for file in sorted(os.listdir(folder)):
            name, suffix = os.path.splitext(file)
            if suffix == SUFFIXES[interpreter.folder]:
                found.append(Program(name.replace("_documents", ""), interpreter, os.path.join(folder, file)))
    return found


def choose(programs, only):
    """Those of the programs that --only names: an interpreter, a program, or both as in "lua trees"."""
    if not only:
        return programs
    chosen = [p for p in programs if any(name in (p.name, p.interpreter.name, p.title) for name in only)]
    for name in only:
        if not any(name in (p.name, p.interpreter.name, p.title) for p in programs):
            titles = ", ".join(p.title for p in programs)
            raise Failure(f"--only {name}: no such program or interpreter; there are: {titles}")
    return chosen
