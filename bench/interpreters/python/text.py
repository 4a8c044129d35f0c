"""Text: a generated book is split, counted, rewritten by regular expressions, formatted and joined."""
import re

SYLLABLES = "ka lo mi ter un vas que dor len ish pra to sel gan ur".split()


def words(count, seed):
    state = seed
    for _ in range(count):
        word = ""
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        for shift in range(1 + (state >> 8) % 4):
            word += SYLLABLES[(state >> (shift * 4 + 10)) % len(SYLLABLES)]
        yield word


def main():
    checksum = 0
    for seed in range(1, 5):
        lines = []
        line = []
        for word in words(50000, seed):
            line.append(word)
            if len(line) == 9:
                lines.append(" ".join(line))
                line = []
        book = "\n".join(lines)
        counts = {}
        for text in book.split("\n"):
            for word in text.split():
                counts[word] = counts.get(word, 0) + 1
        swapped = re.sub(r"\b(\w+) (\w+)\b", r"\2-\1", book)
        titles = [f"{index:06d}: {text.title()[::-1]}" for index, text in enumerate(swapped.splitlines())]
        frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        report = "\n".join("%-20s%6d" % item for item in frequent)
        for text in titles[::7]:
            checksum = (checksum * 33 + len(text) + ord(text[-1]) * ord(text[10])) & 0xFFFFFFFF
        checksum = (checksum + len(report) + len(book.encode("utf-16")) + frequent[3][1]) & 0xFFFFFFFF
    print("text", checksum)


main()
