"""Binary trees: many short-lived ones built and walked while one long-lived tree stays."""


class Node:
    __slots__ = ("left", "right", "value")

    def __init__(self, left, right, value):
        self.left = left
        self.right = right
        self.value = value


def build(depth, value):
    if depth == 0:
        return Node(None, None, value)
    return Node(build(depth - 1, 2 * value), build(depth - 1, 2 * value + 1), value)


def total(node):
    if node.left is None:
        return node.value
    return node.value + total(node.left) + total(node.right)


def main():
    long_lived = build(15, 1)
    checksum = 0
    for depth in range(4, 15, 2):
        for turn in range(3 << (14 - depth)):
            checksum = (checksum * 31 + total(build(depth, turn))) & 0xFFFFFFFF
    print("trees", checksum, total(long_lived))


main()
