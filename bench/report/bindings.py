"""Makes sure that a column measures the allocator it names.

A preloaded library is only used if the dynamic linker resolves the program's calls to it: a program may carry its own
allocator, or be linked so that its own definition comes first. The linker itself is asked: LD_DEBUG=bindings with
LD_BIND_NOW lists every symbol of every loaded object and where it was bound. All of the malloc family, from whichever
object, must be bound to the preloaded library. (The name that redis reports in INFO memory was fixed when it was compiled.)
"""
import glob
import os
import re
import subprocess
import tempfile

from contenders import command
from failure import Failure
from programs import FIXED_SEEDS

# Without reallocarray and valloc: not every allocator has them, and glibc's own call the realloc and memalign bound here.
FAMILY = {"malloc", "calloc", "realloc", "free", "aligned_alloc", "memalign", "posix_memalign", "malloc_usable_size"}
BINDING = re.compile(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: \w+ symbol `(\w+)'")


def family_bindings(arguments, environment):
    """The set of (object, target, symbol) of the malloc family in one run of a program."""
    with tempfile.TemporaryDirectory(prefix="acre-bench-") as folder:
        traced = {**os.environ, **environment, "LD_DEBUG": "bindings", "LD_BIND_NOW": "1",
                  "LD_DEBUG_OUTPUT": os.path.join(folder, "bindings")}
        run = subprocess.run(arguments, env=traced, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                             timeout=120, check=False)
        if run.returncode != 0:
            why = run.stderr.strip().splitlines()
            raise Failure(f"{arguments[0]} with LD_PRELOAD={environment.get('LD_PRELOAD')} ended with {run.returncode}"
                          + (f": {why[-1]}" if why else ""))
        found = set()
        for path in glob.glob(os.path.join(folder, "bindings.*")):
            with open(path, encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    match = BINDING.search(line)
                    if match and match.group(3) in FAMILY:
                        found.add(match.groups())
        return found


def check_program(name, arguments, environment, allocator):
    """Fails unless a program, with this allocator preloaded, takes all its memory from it."""
    bindings = family_bindings(arguments, {**environment, **allocator.environment()})
    wanted = os.path.realpath(allocator.path)
    # What the allocator takes from others (glibc's own functions, for its start) is its own business.
    bindings = {b for b in bindings if os.path.realpath(b[0]) != wanted}
    reached = {(source, symbol) for source, target, symbol in bindings if os.path.realpath(target) == wanted}
    for source, target, symbol in sorted(bindings):
        # An executable at a fixed address that takes the address of free lends its jump through the linkage table to all
        # (Debian's python3 does): that is fine where the jump itself ends in the allocator.
        if os.path.realpath(target) != wanted and (target, symbol) not in reached:
            raise Failure(f"{name} does not run on {allocator.name}: {source} takes {symbol} from {target}")
    symbols = {symbol for _, _, symbol in bindings}
    if "free" not in symbols or not symbols & {"malloc", "realloc"}:
        raise Failure(f"{name} does not run on {allocator.name}: it binds only {sorted(symbols)}")
    return len(bindings)


def check_interpreter(interpreter, allocator):
    path = command(interpreter.program)
    return check_program(interpreter.name, [path, *interpreter.check], {**FIXED_SEEDS, **interpreter.environment}, allocator)


def check_python_pools(interpreter):
    """Fails unless PYTHONMALLOC did what the column says: the statistics of the pools exist only while they are used."""
    if interpreter.program != "python3":
        return
    run = subprocess.run([command("python3"), "-c", "import sys; sys._debugmallocstats()"], capture_output=True, text=True,
                         env={**os.environ, **interpreter.environment}, check=False)
    has_pools = "arenas allocated total" in run.stderr
    wants_pools = interpreter.environment.get("PYTHONMALLOC") != "malloc"
    if has_pools != wants_pools:
        raise Failure(f"{interpreter.name}: CPython's own pools are {'on' if has_pools else 'off'}, against what the row says")


def check_all(interpreters, allocators, say):
    """Every pair of interpreter and allocator, once in a run."""
    count = 0
    for interpreter in interpreters:
        check_python_pools(interpreter)
        for allocator in allocators:
            count += check_interpreter(interpreter, allocator)
    say(f"checked with the dynamic linker: {count} symbols of {len(interpreters)} interpreters are bound to the allocator "
        "of their column, none elsewhere")
