"""Compiles and runs the programs in the documentation.

A block of C or C++ that begins with an #include, or with a comment and then one, is a whole program: it must compile
without warnings, and print what the next block says if the text between begins with "It prints". Any other block of C or
C++ is a quotation: it must stand in some source file as it is, apart from its indentation.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMPILERS = {"c": ("cc", ["-std=c11", "-pedantic"]), "cpp": ("cxx", ["-std=c++20"])}


def is_program(text):
    without_comments = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    return without_comments.lstrip().startswith("#include")


def without_indentation(text):
    return "\n".join(line.strip() for line in text.strip().splitlines())


def run_program(arguments, name, language, text, expected):
    compiler, flags = COMPILERS[language]
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / f"example.{language}"
        source.write_text(text)
        program = pathlib.Path(folder) / "example"
        command = [getattr(arguments, compiler), *flags, "-O2", "-Wall", "-Wextra", "-Werror", "-I", arguments.include]
        built = folder + "/example.o"
        for step in ([*command, "-c", str(source), "-o", built],
                     [arguments.cxx, built, "-o", str(program), arguments.library, "-pthread"]):
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                return f"{name}: {done.stderr}"
        result = subprocess.run([str(program)], capture_output=True, text=True, timeout=60)
    if result.returncode != 0:
        return f"{name}: exit status {result.returncode}: {result.stderr}"
    if expected is not None and result.stdout != expected:
        return f"{name}: printed\n{result.stdout}instead of\n{expected}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="the top folder of the tree")
    parser.add_argument("--cc", required=True)
    parser.add_argument("--cxx", required=True)
    parser.add_argument("--include", required=True, help="the folder that contains acre/")
    parser.add_argument("--library", required=True, help="libacre.a")
    arguments = parser.parse_args()
    top = pathlib.Path(arguments.source)

    sources = []
    for folder in ("allocator", "arch", "os", "tests", "bench"):
        for suffix in ("*.h", "*.hpp", "*.cc", "*.c"):
            sources += [without_indentation(path.read_text()) for path in (top / folder).rglob(suffix)]

    programs = quotations = 0
    problems = []
    for page in [top / "README.md", *sorted((top / "docs").glob("*.md"))]:
        text = page.read_text()
        blocks = list(FENCE.finditer(text))
        for number, block in enumerate(blocks):
            language, body = block.groups()
            if language not in COMPILERS:
                continue
            name = f"{page.name}:{text[:block.start()].count(chr(10)) + 1}"
            if is_program(body):
                programs += 1
                following = blocks[number + 1] if number + 1 < len(blocks) else None
                expected = None
                if following is not None and text[block.end():following.start()].strip().startswith("It prints"):
                    expected = following.group(2)
                problem = run_program(arguments, name, language, textwrap.dedent(body), expected)
                if problem:
                    problems.append(problem)
            else:
                quotations += 1
                if not any(without_indentation(body) in source for source in sources):
                    problems.append(f"{name}: no source file contains this:\n{body}")
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{programs} programs, {quotations} quotations, {len(problems)} problems")
    return 1 if problems or programs == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
