"""What the compiler made of the library: no exceptions, no RTTI, no C++ run-time library, no static constructors.

Text alone does not tell: a std function may throw, a static may turn out to need a constructor.
"""

import re
import subprocess

# Undefined symbols that show that something forbidden is used. Weak references are fine: they ask politely for what
# may be there, as operator new does for std::bad_alloc.
FORBIDDEN_UNDEFINED = [
    (r"^__cxa_(throw|rethrow|begin_catch|end_catch|allocate_exception)", "an exception"),
    (r"^(__gxx_personality_v0|_Unwind_Resume)", "an exception"),
    (r"^(_ZTI|_ZTVN10__cxxabiv1|__dynamic_cast)", "run-time type information"),
    (r"^__cxa_(guard_\w+|thread_atexit)", "a static or thread-local with a constructor"),
    (r"^_Zn[wa]", "operator new"),
    (r"^_Zd[la]", "operator delete"),
    (r"^(_ZS[^t]|_ZSt|_ZNS[^t]|_ZNSt|_ZNKS)", "the C++ run-time library"),
]
FORBIDDEN_UNDEFINED = [(re.compile(pattern), what) for pattern, what in FORBIDDEN_UNDEFINED]
# The one file of each drop-in that is run when the library is loaded and when the process ends.
CONSTRUCTOR_OBJECTS = re.compile(r"process_heap\.cc\.o$")
# The places that tests/tidy/text_rules.py allows.
THREAD_LOCAL_OBJECTS = re.compile(r"(process_heap\.cc|acre_os\.dir/.*)\.o$")
ALLOWED_LIBRARIES = re.compile(r"^(libc\.so\.\d+|ld-linux.*)$")


def _lines(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.split("\n")


def _check_symbols(path):
    for line in _lines("nm", "--undefined-only", "-P", path):
        name, kind = (line.split() + ["", ""])[:2]
        if kind != "U":
            continue
        for pattern, what in FORBIDDEN_UNDEFINED:
            if pattern.search(name):
                yield f"{path}: uses {what} ({name})"


def _check_sections(path):
    for line in _lines("readelf", "-SW", path):
        match = re.search(r"\]\s+(\.\S+)\s+\S+\s+\S+\s+\S+\s+([0-9a-f]+)", line)
        if not match or int(match.group(2), 16) == 0:
            continue
        section = match.group(1)
        is_constructor = section.startswith((".init_array", ".ctors", ".fini_array", ".dtors"))
        if is_constructor and not CONSTRUCTOR_OBJECTS.search(path):
            yield f"{path}: has a static constructor or destructor ({section})"
        if section.startswith((".tdata", ".tbss")) and not THREAD_LOCAL_OBJECTS.search(path):
            yield f"{path}: has thread-local storage ({section})"


def check_objects(paths):
    findings = []
    paths = [path for path in paths if path]
    if not paths:
        findings.append("the list of objects is empty")
    for path in paths:
        findings.extend(_check_symbols(path))
        findings.extend(_check_sections(path))
    return findings


def check_libraries(paths):
    findings = []
    for path in paths:
        for line in _lines("readelf", "-dW", path):
            match = re.search(r"\(NEEDED\).*\[(.+)\]", line)
            if match and not ALLOWED_LIBRARIES.match(match.group(1)):
                findings.append(f"{path}: needs {match.group(1)}")
            if "(TEXTREL)" in line:
                findings.append(f"{path}: has text relocations")
    return findings
