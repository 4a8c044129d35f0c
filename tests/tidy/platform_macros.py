"""Macros that tell operating systems apart stand only in os/, those that tell CPUs apart only in arch/.

Everything else gets what it needs as a value or through a contract, so that a port is a folder and not a search.
"""

import re

OS_MACRO = re.compile(
    r"\b(_{0,2}linux(?:__)?|__gnu_linux__|_WIN32|_WIN64|__APPLE__|__MACH__|__FreeBSD__|__NetBSD__|__OpenBSD__|"
    r"__DragonFly__|__unix__|__unix|__ANDROID__|__CYGWIN__|__sun|__GLIBC__)\b")
CPU_MACRO = re.compile(
    r"\b(__x86_64__|__x86_64|__amd64__|__i386__|__i386|_M_X64|_M_IX86|_M_ARM64|__aarch64__|__arm__|__riscv\w*|"
    r"__powerpc\w*|__ppc\w*|__s390x?__|__mips\w*|__loongarch\w*|__AVX\w*__|__SSE\w*__|__BMI2?__|__ARM_NEON\w*)\b")


def check(tree):
    findings = []
    for file in tree.library_files:
        for line, code in file.lines_of_code():
            if not re.match(r"\s*#|.*\b(defined|__has_\w+)\b", code):
                continue
            if re.match(r"\s*#\s*include", code):
                continue
            for pattern, folder, what in ((OS_MACRO, "os/", "an operating system"), (CPU_MACRO, "arch/", "a CPU")):
                match = pattern.search(code)
                if match and not file.path.startswith(folder):
                    findings.append(file.finding(line, f"{match.group(0)} names {what} outside {folder}"))
    return findings
