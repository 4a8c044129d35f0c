"""Finds the allocators that are compared, the interpreters that run on them, and the built helper programs."""
import dataclasses
import glob
import os
import platform
import shutil
import subprocess

from failure import Failure

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BASELINE = "jemalloc"  # Every ratio is to this column.
REQUIRED = ("jemalloc", "acre", "glibc")
OPTIONAL = ("mimalloc", "tcmalloc")
ALL = REQUIRED + OPTIONAL
CANARY = "canary"  # jemalloc once more, only where asked for: how far its column is from 1 is the noise of the run.

# Names of shared objects and the Debian packages that hold them.
SONAMES = {
    "glibc": (("libc.so.6",), "libc6"),
    "jemalloc": (("libjemalloc.so.2",), "libjemalloc2"),
    CANARY: (("libjemalloc.so.2",), "libjemalloc2"),
    "mimalloc": (("libmimalloc.so.2",), "libmimalloc2.0"),
    "tcmalloc": (("libtcmalloc_minimal.so.4", "libtcmalloc.so.4"), "libtcmalloc-minimal4"),
}
PACKAGES = {"python3": "python3", "lua5.4": "lua5.4", "perl": "perl", "ruby": "ruby", "redis-server": "redis-server",
            "redis-benchmark": "redis-tools", "valgrind": "valgrind"}


@dataclasses.dataclass(frozen=True)
class Allocator:
    """A column of the tables. glibc too is preloaded: redis-server is linked to jemalloc and must be taken from it."""

    name: str
    path: str

    def environment(self):
        return {"LD_PRELOAD": self.path}


def library(soname):
    """The path of a shared object that fits this machine, or None."""
    places = (f"/usr/lib/{platform.machine()}-linux-gnu", f"/lib/{platform.machine()}-linux-gnu", "/usr/lib64", "/lib64",
              "/usr/local/lib", "/usr/lib", "/lib")
    for place in places:
        path = os.path.join(place, soname)
        if os.path.exists(path):
            return os.path.realpath(path)
    return None


def build_directory(given):
    """The directory given by --build, or the tree's own release build."""
    build = os.path.abspath(given) if given else os.path.join(ROOT, "build", "release")
    if not os.path.isdir(build):
        raise Failure(f"no build in {build}: run bench/run, which builds first, or give --build DIR")
    return build


def built(build, name):
    """The path of a file that the build made, wherever in the build tree it lies."""
    found = [path for path in glob.glob(os.path.join(build, "**", name), recursive=True) if os.path.isfile(path)]
    if not found:
        raise Failure(f"{name} is not built in {build}: run bench/run, which builds first, or give --build DIR")
    return max(found, key=os.path.getmtime)


def find_allocator(name, build):
    """The allocator of that name, or None if its library is not installed."""
    if name == "acre":
        return Allocator(name, os.path.realpath(built(build, "libacre_malloc.so")))
    if name not in SONAMES:
        raise Failure(f"unknown allocator '{name}': choose from {', '.join(ALL + (CANARY,))}")
    sonames, _ = SONAMES[name]
    for soname in sonames:
        path = library(soname)
        if path:
            return Allocator(name, path)
    return None


def find_allocators(names, build, say):
    """The contenders in the order of the tables. An optional one that is not installed is named and left out."""
    chosen = list(names or ALL)
    if BASELINE not in chosen:
        chosen.insert(0, BASELINE)
    found = []
    for name in chosen:
        allocator = find_allocator(name, build)
        if allocator:
            found.append(allocator)
        elif names or name in REQUIRED:
            raise Failure(f"{name} is not installed: apt-get install {SONAMES[name][1]}")
        else:
            say(f"{name} is not installed (package {SONAMES[name][1]}): its column is left out")
    return found


def command(name):
    """The path of an installed program. Debian's own python3 is meant, not one that a version manager put before it."""
    path = "/usr/bin/python3" if name == "python3" and os.path.exists("/usr/bin/python3") else shutil.which(name)
    if not path:
        raise Failure(f"{name} is not installed: apt-get install {PACKAGES.get(name, name)}")
    return path


def version(path):
    """Which build of a library or program this is: the owning Debian package and its version, where dpkg knows it."""
    try:
        for name in (path, path.removeprefix("/usr")):
            owner = subprocess.run(["dpkg", "-S", name], capture_output=True, text=True, check=False).stdout
            if owner:
                package = owner.split(": ")[0].split(",")[0]
                shown = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}", package], capture_output=True,
                                       text=True, check=False)
                return shown.stdout.strip()
    except FileNotFoundError:
        pass
    return ""
