"""Small rules that a line of text can break."""

import re

# process_heap.h declares what process_heap.cc defines.
THREAD_LOCAL_PLACES = ("os/", "allocator/compat/malloc/process_heap.", "allocator/compat/gc/process_heap.", "tests/",
                       "bench/")

# (pattern, in code or in text, what is wrong, whom it concerns)
# operator new(nothrow) must catch what a new-handler throws.
CATCHING_FILE = "allocator/compat/malloc/new_nothrow.cc"

LINE_RULES = [
    (r'#\s*include\s*["<][^">]*\.cc?[">]', "code", "includes a source file", lambda file: True),
    (r"\bDISABLED_", "code", "a test is switched off: fix or delete it", lambda file: True),
    (r"^\s*//\s*(TEST|TEST_F|TEST_P)\(", "text", "a test is commented out: fix or delete it", lambda file: True),
    (r"^\s*#\s*if\s+0\b", "code", "code is switched off by #if 0: delete it", lambda file: True),
    (r"\b(thread_local|__thread)\b", "code", "thread-local storage outside os/ and process_heap",
     lambda file: not file.path.startswith(THREAD_LOCAL_PLACES)),
    (r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))", "text", "an open end without the number of its issue", lambda file: True),
    (r"^using\s+namespace\b", "code", "using namespace in a header", lambda file: file.is_header),
    (r"ForTesting\b", "code", "a method for tests: use a friend struct in tests/support",
     lambda file: file.is_library),
    (r"\b(throw\b(?!\s*\(\))|try\s*\{|catch\s*\(|dynamic_cast|typeid\b)", "code", "an exception or RTTI in the library",
     lambda file: file.is_library and file.path != CATCHING_FILE),
    (r"\t", "text", "a tabulator", lambda file: True),
    (r"[ ]+$", "text", "spaces at the end of the line", lambda file: True),
]
LINE_RULES = [(re.compile(pattern), where, what, concerns) for pattern, where, what, concerns in LINE_RULES]


def _code_without_strings(file):
    for line, code in file.lines_of_code():
        if not re.match(r"\s*#\s*include", code):
            code = re.sub(r'"(?:\\.|[^"\\])*"', '""', code)
        yield line, code


def check(tree):
    findings = []
    for file in tree.files:
        if file.is_header and not re.search(r"^#pragma once$", file.code, re.MULTILINE):
            findings.append(file.finding(1, "a header without #pragma once"))
        for pattern, where, what, concerns in LINE_RULES:
            if not concerns(file):
                continue
            for line, content in _code_without_strings(file) if where == "code" else file.lines_of_text():
                if pattern.search(content):
                    findings.append(file.finding(line, what))
    return findings
