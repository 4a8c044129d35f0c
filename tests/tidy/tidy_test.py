#!/usr/bin/env python3
"""Each check of this folder is shown a good sample, in which it finds nothing, and bad ones, which it must find."""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import unittest

import headers
import layers
import links
import objects
import platform_macros
import text_rules
from source_tree import SourceTree, without_comments

COMPILER = "c++"
GOOD_HEADER = "#pragma once\n\n// Unlike __linux__ code.\n#include <cstddef>\n\nnamespace acre { size_t Good(); }\n"


class TidyTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        self.add("allocator/base/good.h", GOOD_HEADER)

    def tearDown(self):
        self.folder.cleanup()

    def add(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def tree(self):
        return SourceTree(self.root)

    def expect_finding(self, findings, *parts):
        for part in parts:
            self.assertTrue(any(part in finding for finding in findings), f"{part!r} is not in {findings}")

    def compile(self, code, *options, name="sample"):
        source = self.add(f"{name}.cc", code)
        target = source.with_suffix(".o")
        subprocess.run([COMPILER, "-std=c++20", "-O1", "-c", *options, str(source), "-o", str(target)], check=True)
        return str(target)


class SourceTreeTest(TidyTest):
    def test_comments_are_blanked_and_strings_and_lines_kept(self):
        text = 'a /* b\nc */ "// d" // e\nconst int f = 1\'000; // it\'s\ng'
        self.assertEqual([line.split() for line in without_comments(text).split("\n")],
                         [["a"], ['"//', 'd"'], ["const", "int", "f", "=", "1_000;"], ["g"]])


class LayersTest(TidyTest):
    def test_good_order_is_accepted(self):
        self.add("allocator/page/page.h", '#pragma once\n#include "allocator/base/good.h"\n')
        self.add("tests/unit/page/page_test.cc", '#include <vector>\n#include "allocator/page/page.h"\n')
        self.assertEqual(layers.check(self.tree()), [])

    def test_include_from_below_is_found(self):
        self.add("allocator/page/page.h", "#pragma once\n")
        self.add("allocator/base/bad.cc", '#include "allocator/page/page.h"\n')
        self.expect_finding(layers.check(self.tree()), "allocator/base/bad.cc:1: includes allocator/page/page.h")

    def test_library_that_includes_a_test_is_found(self):
        self.add("tests/support/help.h", "#pragma once\n")
        self.add("allocator/api/bad.cc", '#include "tests/support/help.h"\n')
        self.expect_finding(layers.check(self.tree()), "allocator/api/bad.cc:1")

    def test_fake_in_the_library_is_found(self):
        self.add("os/fake/memory.h", "#pragma once\n#include <vector>\n")
        self.add("allocator/page/bad.cc", '#include "os/fake/memory.h"\n')
        findings = layers.check(self.tree())
        self.assertEqual(len(findings), 1)
        self.expect_finding(findings, "which is for tests")

    def test_folder_without_a_place_is_found(self):
        self.add("allocator/extra/more.h", "#pragma once\n")
        self.expect_finding(layers.check(self.tree()), "allocator/extra/more.h:1: lies in a folder")

    def test_public_header_that_includes_a_private_one_is_found(self):
        self.add("allocator/include/acre/acre.h", '#pragma once\n#include "allocator/base/good.h"\n')
        self.expect_finding(layers.check(self.tree()), "which is not installed")

    def test_path_that_is_not_from_the_root_is_found(self):
        self.add("allocator/base/bad.cc", '#include "good.h"\n')
        self.expect_finding(layers.check(self.tree()), "no path from the root")

    def test_system_headers_are_kept_to_their_places(self):
        self.add("os/linux/good.cc", "#include <sys/mman.h>\n")
        self.add("arch/x86_64/good.cc", "#include <immintrin.h>\n")
        self.add("allocator/heap/bad.cc", "#include <string>\n#include <sys/mman.h>\n")
        self.add("os/linux/bad.cc", "#include <mutex>\n")
        findings = layers.check(self.tree())
        self.assertEqual(len(findings), 3)
        self.expect_finding(findings, "bad.cc:1: includes <string>", "bad.cc:2: includes <sys/mman.h>", "<mutex>")


class PlatformMacrosTest(TidyTest):
    def test_macros_in_their_folders_and_in_comments_are_accepted(self):
        self.add("os/linux/good.cc", "#ifdef __linux__\n#endif\n")
        self.add("arch/x86_64/good.cc", "#if defined(__AVX2__)\n#endif\n")
        self.assertEqual(platform_macros.check(self.tree()), [])

    def test_os_macro_elsewhere_is_found(self):
        self.add("allocator/base/bad.h", "#pragma once\n#ifdef __linux__\n#endif\n")
        self.expect_finding(platform_macros.check(self.tree()), "bad.h:2: __linux__ names an operating system")

    def test_cpu_macro_elsewhere_is_found(self):
        self.add("os/linux/bad.cc", "#if defined(__x86_64__) || defined(__AVX2__)\n#endif\n")
        self.expect_finding(platform_macros.check(self.tree()), "bad.cc:1: __x86_64__ names a CPU")


class TextRulesTest(TidyTest):
    def test_good_text_is_accepted(self):
        self.add("os/linux/good.cc", 'thread_local int held = 0;\nconst char* text = "throw DISABLED_";\n')
        self.assertEqual(text_rules.check(self.tree()), [])

    def test_each_rule_finds_its_bad_line(self):
        bad_lines = {
            '#include "allocator/base/other.cc"': "includes a source file",
            "TEST(DISABLED_Heap, Works) {}": "switched off",
            "// TEST(Heap, Works) {": "commented out",
            "#if 0": "#if 0",
            "thread_local int counter;": "thread-local",
            "// TO" + "DO: later": "an open end",
            "void ResetForTesting();": "a method for tests",
            "  throw 1;": "an exception",
            "auto* p = dynamic_cast<int*>(q);": "an exception or RTTI",
            "int\tx;": "tabulator",
            "int x; ": "spaces at the end",
        }
        for number, line in enumerate(bad_lines):
            self.add(f"allocator/base/bad_{number}.cc", line + "\n")
        self.assertEqual(len(text_rules.check(self.tree())), len(bad_lines))
        for number, what in enumerate(bad_lines.values()):
            found = [finding for finding in text_rules.check(self.tree()) if f"bad_{number}.cc:1" in finding]
            self.expect_finding(found, what)

    def test_bad_headers_are_found(self):
        self.add("allocator/base/bad.h", "// #pragma once\nusing namespace acre;\n")
        self.expect_finding(text_rules.check(self.tree()), "bad.h:1: a header without", "bad.h:2: using namespace")


class LinksTest(TidyTest):
    def test_good_links_are_accepted(self):
        self.add("docs/heap.md", "# The heap\n## Size & class\n```\n[no](link)\n```\n[x](#the-heap) `[y](z)`\n")
        self.add("README.md", "[docs](docs/heap.md#size--class) [web](https://example.org/x) ![](docs)\n")
        self.assertEqual(links.check(self.tree()), [])

    def test_links_to_nothing_are_found(self):
        self.add("README.md", "# A\n\n[gone](docs/gone.md)\n[b](#b)\n\n[c]: other.png\n")
        findings = links.check(self.tree())
        self.assertEqual(len(findings), 3)
        self.expect_finding(findings, "README.md:3: docs/gone.md leads nowhere", "README.md:4: #b", "README.md:6")


class HeadersTest(TidyTest):
    def test_good_header_compiles(self):
        self.assertEqual(headers.check(self.tree(), COMPILER), [])

    def test_header_that_needs_another_is_found(self):
        self.add("allocator/base/bad.h", "#pragma once\nnamespace acre { size_t Bad(); }\n")
        self.expect_finding(headers.check(self.tree(), COMPILER), "bad.h:1: does not compile alone as C++")

    def test_public_header_that_is_no_c_is_found(self):
        self.add("allocator/include/acre/acre.h", '#pragma once\nextern "C" { struct A { A(); }; }\n')
        self.expect_finding(headers.check(self.tree(), COMPILER), "acre.h:1: does not compile alone as C:")


class ObjectsTest(TidyTest):
    def test_good_object_is_accepted(self):
        sample = self.compile("int Good(int x) { return x + 1; }", "-fno-exceptions", "-fno-rtti")
        self.assertEqual(objects.check_objects([sample]), [])

    def test_bad_objects_are_found(self):
        samples = {
            "throws": ("int F() { throw 1; }", "an exception"),
            "rtti": ("struct A { virtual ~A(); }; struct B : A {}; B* F(A* a) { return dynamic_cast<B*>(a); }", "RTTI"),
            "constructor": ("int F(); int x = F();", "a static constructor"),
            "guard": ("int F(); int G() { static int x = F(); return x; }", "a static or thread-local"),
            "news": ("int* F() { return new int[5]; }", "operator new"),
            "library": ("#include <string>\nchar F(std::string& s) { s.reserve(999); return s.at(3); }", "run-time"),
            "local": ("thread_local int x; int* F() { return &x; }", "thread-local storage"),
        }
        for name, (code, what) in samples.items():
            with self.subTest(name):
                what = "run-time type information" if what == "RTTI" else what
                self.expect_finding(objects.check_objects([self.compile(code, name=name)]), what)

    def test_empty_list_is_found(self):
        self.expect_finding(objects.check_objects([""]), "empty")

    def test_library_that_needs_the_cxx_runtime_is_found(self):
        sample = self.compile("#include <string>\nchar F(std::string& s) { return s.at(3); }", "-fPIC")
        library = str(self.root / "bad.so")
        subprocess.run([COMPILER, "-shared", sample, "-o", library], check=True)
        self.expect_finding(objects.check_libraries([library]), "needs libstdc++.so")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default=COMPILER)
    known, rest = parser.parse_known_args()
    COMPILER = known.compiler
    unittest.main(argv=[sys.argv[0], *rest])
