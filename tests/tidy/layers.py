"""The order of the folders: a file includes only from its own folder and from folders above it in this list.

It also keeps what the library may include of the system: nothing that may allocate, throw or lock behind our back,
and headers of the operating system only in os/.
"""

# The public headers' internal/ stands high up: it holds the layouts that both the inline fast paths and the parts
# behind them read, and includes nothing but std.
ORDER = [
    "arch",
    "os",
    "allocator/include/acre/internal",
    "allocator/base",
    "allocator/size",
    "allocator/page",
    "allocator/span",
    "allocator/heap",
    "allocator/collect",
    "allocator/arena",
    "allocator/observe",
    "allocator/include/acre",
    "allocator/api",
    "allocator/compat",
    "allocator/cli",
]
ABOVE_ALL = ("tests", "bench")
TEST_SUPPORT = "os/fake"  # Part of os/, but for tests alone.

STD_HEADERS = {
    "atomic", "bit", "array", "span", "cstdint", "cstddef", "cstring", "limits", "type_traits", "concepts", "utility",
    "new", "stddef.h", "stdint.h", "stdbool.h",
}
# Intrinsics of the compiler.
ARCH_HEADERS = {"immintrin.h", "cpuid.h", "x86intrin.h", "arm_neon.h", "arm_sve.h", "sanitizer/asan_interface.h"}
# What the signatures of the malloc family need.
COMPAT_HEADERS = {"malloc.h", "errno.h", "cerrno", "stdio.h", "cstdio", "stdlib.h", "cstdlib"}


def layer_of(path):
    """The index in ORDER, len(ORDER) for tests and benchmarks, None for a folder that has no place."""
    if path.startswith(tuple(folder + "/" for folder in ABOVE_ALL)):
        return len(ORDER)
    best = None
    for index, folder in enumerate(ORDER):
        if path.startswith(folder + "/") and (best is None or len(folder) > len(ORDER[best])):
            best = index
    return best


def _check_own_include(file, line, target):
    own, other = layer_of(file.path), layer_of(target)
    if other is None:
        yield file.finding(line, f"{target} lies in a folder that has no place in the order of layers")
    elif other > own:
        yield file.finding(line, f"includes {target}, which lies below it in the order of layers")
    if target.startswith(TEST_SUPPORT + "/") and file.is_library and not file.path.startswith(TEST_SUPPORT + "/"):
        yield file.finding(line, f"includes {target}, which is for tests")
    if file.path.startswith("allocator/include/") and not target.startswith("allocator/include/"):
        yield file.finding(line, f"includes {target}, which is not installed")


def _check_system_include(file, line, path):
    if not file.is_library or path in STD_HEADERS:
        return
    if file.path.startswith("os/"):
        # The fake is test support and may use all of std; else os/ may have the system's C headers, not all of std.
        if file.path.startswith(TEST_SUPPORT + "/") or path.endswith(".h") or path in ("cerrno", "csignal", "cstdlib", "ctime"):
            return
    if file.path.startswith("arch/") and path in ARCH_HEADERS:
        return
    if file.path.startswith("allocator/compat/") and path in COMPAT_HEADERS:
        return
    yield file.finding(line, f"includes <{path}>, which is not among the library's system headers")


def check(tree):
    findings = []
    for file in tree.files:
        if layer_of(file.path) is None:
            findings.append(file.finding(1, "lies in a folder that has no place in the order of layers"))
            continue
        for line, path, is_quoted in file.includes():
            target = tree.resolve_include(path)
            if target is not None:
                findings.extend(_check_own_include(file, line, target))
            elif is_quoted and file.is_library:
                findings.append(file.finding(line, f'"{path}" is no path from the root of the tree'))
            else:
                findings.extend(_check_system_include(file, line, path))
    return findings
