#!/usr/bin/env python3
"""Installs the build into a temporary prefix and builds a stranger's project against it, in both usual ways."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

PROJECT = pathlib.Path(__file__).resolve().parent / "project"


def run(*command, **environment):
    """The standard output of a command that must succeed."""
    command = [str(part) for part in command]
    print("+", " ".join(command), flush=True)
    result = subprocess.run(command, env={**os.environ, **environment}, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, check=False, timeout=200)
    print(result.stdout, end="", flush=True)
    if result.returncode != 0:
        sys.exit(f"FAILED with status {result.returncode}: {' '.join(command)}")
    return result.stdout


def expect(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def expect_installed_files(prefix):
    names = {path.name for path in prefix.rglob("*")}
    wanted = {"libacre.so", "libacre.a", "libacre_malloc.so", "libacre_malloc.a", "acre.h", "acre.hpp", "ends.h",
              "export.h", "heap.h", "inline.h", "manual_heap.h", "records.h", "roots.h", "stack.h", "version.h", "acre.pc", "acre-malloc.pc",
              "acre-config.cmake", "acre-config-version.cmake", "acre-targets.cmake"}
    expect(not wanted - names, f"not installed: {sorted(wanted - names)}")


def expect_version(output, options):
    expect(output.strip() == options.version, f"the version printed is {output.strip()!r}, not {options.version}")


def expect_malloc_from(output, name):
    files = [pathlib.Path(line).name for line in output.split()]
    expect(len(files) == 2, f"two files were expected: {files}")
    expect(all(file.startswith(name) for file in files), f"malloc and memalign come from {files}, not from {name}")


def check_find_package(prefix, work, options):
    build = work / "by_find_package"
    run(options.cmake, "-S", PROJECT, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_C_COMPILER={options.cc}", f"-DCMAKE_CXX_COMPILER={options.cxx}")
    run(options.cmake, "--build", build)
    for name in ("heap_by_acre", "heap_by_acre_static", "collected_by_acre", "collected_by_acre_static",
                  "heap_by_heap_first", "heap_by_malloc_first"):
        expect_version(run(build / name), options)
    expect_malloc_from(run(build / "malloc_by_malloc"), "libacre_malloc.so")
    expect_malloc_from(run(build / "malloc_by_malloc_static"), "malloc_by_malloc_static")


def check_pkg_config(prefix, work, options):
    folders = [str(path.parent) for path in prefix.rglob("acre.pc")]
    environment = {"PKG_CONFIG_PATH": folders[0]}
    expect(run("pkg-config", "--modversion", "acre", **environment).strip() == options.version, "acre.pc's version")
    library_dir = run("pkg-config", "--variable=libdir", "acre", **environment).strip()

    flags = run("pkg-config", "--cflags", "--libs", "acre", **environment).split()
    heap = work / "heap_by_pkg_config"
    run(options.cxx, "-std=c++20", PROJECT / "heap.cc", *flags, "-o", heap)
    expect_version(run(heap, LD_LIBRARY_PATH=library_dir), options)

    flags = run("pkg-config", "--libs", "acre-malloc", **environment).split()
    malloc = work / "malloc_by_pkg_config"
    run(options.cc, PROJECT / "malloc.c", *flags, "-o", malloc)
    expect_malloc_from(run(malloc, LD_LIBRARY_PATH=library_dir), "libacre_malloc.so")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("build", "version", "cmake", "cc", "cxx"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="acre-install-"))
    try:
        # Installed in one place and used from another: an installed tree may be moved.
        run(options.cmake, "--install", options.build, "--prefix", work / "first")
        (work / "first").rename(work / "prefix")
        expect_installed_files(work / "prefix")
        check_find_package(work / "prefix", work, options)
        check_pkg_config(work / "prefix", work, options)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print("the installed tree serves both ways")


if __name__ == "__main__":
    main()
