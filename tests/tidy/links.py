"""Links between the tree's Markdown pages lead to files and headings that exist."""

import re

SKIPPED = ("build", ".git")


def _pages(root):
    for path in sorted(root.rglob("*.md")):
        if path.relative_to(root).parts[0] not in SKIPPED:
            yield path


def _without_code(text):
    text = re.sub(r"^(```|~~~).*?^\1[^\n]*$", lambda m: "\n" * m.group(0).count("\n"), text,
                  flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def heading_names(text):
    """The anchors that a page's headings have on common forges."""
    names = set()
    text = re.sub(r"^(```|~~~).*?^\1[^\n]*$", "", text, flags=re.DOTALL | re.MULTILINE)
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", text, re.MULTILINE):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number, unique = 0, name
        while unique in names:
            number += 1
            unique = f"{name}-{number}"
        names.add(unique)
    return names


def _targets(text):
    """(line, target) of each inline link, image and reference definition."""
    text = _without_code(text)
    for match in re.finditer(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s*(\S+)", text, re.MULTILINE):
        yield text.count("\n", 0, match.start()) + 1, match.group(1) or match.group(2)


def check(tree):
    findings = []
    for page in _pages(tree.root):
        name = page.relative_to(tree.root).as_posix()
        for line, target in _targets(page.read_text(encoding="utf-8")):
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path) if path else page
            if not file.exists():
                findings.append(f"{name}:{line}: {target} leads nowhere")
            elif anchor and file.suffix == ".md" and anchor not in heading_names(file.read_text(encoding="utf-8")):
                findings.append(f"{name}:{line}: {target} names a heading that {file.name} does not have")
    return findings
