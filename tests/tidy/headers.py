"""Every header of the library compiles alone, twice over, without a warning; public ones for C as C too."""

import concurrent.futures
import os
import subprocess

WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion", "-Werror"]
CPP = ["-x", "c++", "-std=c++20", "-fno-exceptions", "-fno-rtti"]
C = ["-x", "c", "-std=c11"]


def _is_for_c(file):
    is_public = file.path.startswith("allocator/include/acre/")
    return is_public and ('extern "C"' in file.code or "C and C++" in file.text)


def _compile(tree, compiler, file, language):
    folders = ["-I", str(tree.root), "-I", str(tree.root / "allocator/include")]
    source = f'#include "{file.path}"\n' * 2
    result = subprocess.run([compiler, *language, *WARNINGS, *folders, "-fsyntax-only", "-"], input=source, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if result.returncode == 0:
        return []
    name = "C" if language is C else "C++"
    return [file.finding(1, f"does not compile alone as {name}:\n{result.stdout.rstrip()}")]


def check(tree, compiler):
    jobs = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for file in tree.library_files:
            if not file.is_header:
                continue
            jobs.append(pool.submit(_compile, tree, compiler, file, CPP))
            if _is_for_c(file):
                jobs.append(pool.submit(_compile, tree, compiler, file, C))
    return [finding for job in jobs for finding in job.result()]
