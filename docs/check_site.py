#!/usr/bin/env python3
"""Checks that every link of the site leads somewhere: docs/check_site.py build/release/docs/html

Files and anchors within the site; addresses elsewhere are not asked for. Every page of docs has to be there,
with its formulas set by MathJax, not left as text. Needs Python 3.8, nothing else.
"""

import html.parser
import pathlib
import re
import sys
import urllib.parse

DOCS = pathlib.Path(__file__).resolve().parent


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.anchors, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif name in ("href", "src", "data") and value:
                self.links.append(value)


def main():
    folder = pathlib.Path(sys.argv[1])
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.html")}
    pages = {name: Page(text) for name, text in texts.items()}
    problems = []
    for name, page in sorted(pages.items()):
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = urllib.parse.unquote(parts.path) or name
            if not (folder / target).exists():
                problems.append(f"{name}: there is no {link}")
            elif parts.fragment == "nested-classes":
                continue  # Doxygen 1.9.4 writes this link, but not its place, for private classes
            elif parts.fragment and target in pages and urllib.parse.unquote(parts.fragment) not in pages[target].anchors:
                problems.append(f"{name}: {link} has no such place")
    for path in sorted(DOCS.glob("*.md")):
        name = "index.html" if path.stem == "index" else f"md_docs_{path.stem.replace('-', '_')}.html"
        if name not in pages:
            problems.append(f"there is no {name} of {path.name}")
            continue
        formulas = len(re.findall(r"^```math$|\$`", path.read_text(encoding="utf-8"), re.MULTILINE))
        made = len(re.findall(r'class="formulaDsp"|\\\(', texts[name]))
        if made < formulas:
            problems.append(f"{name}: {made} of {formulas} formulas")
    for problem in problems:
        print(problem, file=sys.stderr)
    if not pages:
        sys.exit(f"{folder} has no pages")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
