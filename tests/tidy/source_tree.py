"""The files that the checks read, and the text of a C++ file without its comments."""

import pathlib
import re

CODE_FOLDERS = ("arch", "os", "allocator", "tests", "bench")
LIBRARY_FOLDERS = ("arch", "os", "allocator")
CODE_SUFFIXES = (".h", ".cc", ".c")

_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^\s()\\]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'',
    re.DOTALL)


def without_comments(text):
    """The text with comments blanked; line numbers and strings stay as they are."""

    def blank(match):
        token = match.group(0)
        if not token.startswith(("//", "/*")):
            return token
        return re.sub(r"[^\n]", " ", token)

    # 1'000 is a number, no character literal.
    text = re.sub(r"(?<=[0-9a-fA-F])'(?=[0-9a-fA-F])", "_", text)
    return _TOKEN.sub(blank, text)


class SourceFile:
    def __init__(self, root, path):
        self.path = path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.code = without_comments(self.text)

    @property
    def is_header(self):
        return self.path.endswith(".h")

    @property
    def is_library(self):
        return self.path.startswith(tuple(folder + "/" for folder in LIBRARY_FOLDERS))

    def lines_of_code(self):
        return enumerate(self.code.split("\n"), start=1)

    def lines_of_text(self):
        return enumerate(self.text.split("\n"), start=1)

    def includes(self):
        """(line, path, is_quoted) of each #include."""
        for number, line in self.lines_of_code():
            match = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', line)
            if match:
                yield number, match.group(1) or match.group(2), match.group(1) is not None

    def finding(self, line, what):
        return f"{self.path}:{line}: {what}"


class SourceTree:
    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.files = []
        for folder in CODE_FOLDERS:
            for path in sorted((self.root / folder).rglob("*")):
                if path.suffix in CODE_SUFFIXES and path.is_file():
                    self.files.append(SourceFile(self.root, path))

    @property
    def library_files(self):
        return [file for file in self.files if file.is_library]

    def resolve_include(self, path):
        """The path from the root of an included file of ours, or None for one of the system."""
        for candidate in (path, "allocator/include/" + path):
            if (self.root / candidate).is_file():
                return candidate
        return None
