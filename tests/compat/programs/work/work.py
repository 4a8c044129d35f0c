"""Work for the Python interpreter: trees, text, tables, JSON, sorting, regular expressions, threads, and a child."""

import gc
import hashlib
import json
import re
import subprocess
import sys
import threading
import zlib


class Node:
    def __init__(self, depth):
        self.children = [Node(depth - 1), Node(depth - 1)] if depth else []

    def count(self):
        return 1 + sum(child.count() for child in self.children)


def text():
    words = [f"word{n * 7919 % 10007}" for n in range(30_000)]
    joined = " ".join(words)
    parts = re.findall(r"word(\d*7)\b", joined)
    return len(joined), len(parts), hashlib.sha256("".join(sorted(parts)).encode()).hexdigest()


def tables():
    table = {}
    for n in range(100_000):
        table[f"k{n * 31 % 5003}"] = table.get(f"k{n * 17 % 5003}", 0) + n
    for n in range(0, 5003, 3):
        table.pop(f"k{n}", None)
    return len(table), sum(table.values()), sorted(table)[:3]


def documents():
    made = [{"id": n, "name": "x" * (n % 50), "list": list(range(n % 20)), "nested": {"a": [None, True, n / 7]}}
            for n in range(3000)]
    encoded = json.dumps(made, sort_keys=True)
    again = json.loads(encoded)
    return again == made, hashlib.sha256(encoded.encode()).hexdigest()


def buffers():
    block = bytearray()
    for n in range(2000):
        block += bytes([n % 251]) * (n % 3000)
    packed = zlib.compress(bytes(block), 6)
    return len(block), zlib.crc32(zlib.decompress(packed)), (1 << 20_000) % 1_000_003


def threads():
    results = [0] * 8

    def work(index):
        results[index] = len("".join(str(n) for n in range(20_000 + index)))

    running = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return results


def main():
    print("tree", Node(14).count())
    for function in (text, tables, documents, buffers, threads):
        print(function.__name__, function())
    cycle = []
    for _ in range(20_000):
        cycle = [cycle[:0], cycle]
        if len(cycle) and _ % 100 == 0:
            cycle = []
    print("unreachable or not", gc.collect() >= 0)
    print(subprocess.run([sys.executable, "-c", "print(sum(len(str(n)) for n in range(50000)))"],
                         capture_output=True, text=True, check=True).stdout)


main()
