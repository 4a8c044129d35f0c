#!/usr/bin/env python3
"""Runs one check over the tree and prints what it finds, one line each: path:line: what is wrong.

Exit status 0: nothing found; 1: findings; 2: the check itself could not run.
"""

import argparse
import pathlib
import sys

import headers
import layers
import links
import objects
import platform_macros
import text_rules
from source_tree import SourceTree

CHECKS = {
    "layers": lambda tree, options: layers.check(tree),
    "platform": lambda tree, options: platform_macros.check(tree),
    "text": lambda tree, options: text_rules.check(tree),
    "links": lambda tree, options: links.check(tree),
    "headers": lambda tree, options: headers.check(tree, options.compiler),
    "objects": lambda tree, options: objects.check_objects(options.objects.read_text().split("\n")),
    "libraries": lambda tree, options: objects.check_libraries(options.libraries),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("check", choices=sorted(CHECKS))
    parser.add_argument("--root", type=pathlib.Path, required=True, help="the top folder of the tree")
    parser.add_argument("--compiler", default="c++", help="for headers")
    parser.add_argument("--objects", type=pathlib.Path, help="for objects: a file that names one object a line")
    parser.add_argument("--libraries", nargs="+", help="for libraries: the shared libraries")
    options = parser.parse_args()
    tree = SourceTree(options.root)
    if not tree.files:
        print(f"no source files under {options.root}")
        return 2
    findings = CHECKS[options.check](tree, options)
    for finding in findings:
        print(finding)
    print(f"{options.check}: {len(findings)} findings in {len(tree.files)} files")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
