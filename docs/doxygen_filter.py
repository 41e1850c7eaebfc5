#!/usr/bin/env python3
"""Prints a page of docs as Doxygen reads it; the pages themselves are written for every reader of Markdown.

    docs/doxygen_filter.py docs/convex.md

    ```math ... ```, $`...`$      become formulas of Doxygen
    ## A heading                  gets the label page-a-heading
    [text](page.md#a-heading)     becomes a reference to that label
    [text](../examples/x.cpp)     becomes its text: the site has pages, not files
    [text](page.md):              in the lists of index.md makes the order of pages in the tree of the site
    1.2e-3<!--theorem:key-->      loses its comment, with which Doxygen would take away the blank behind it

Needs Python 3.8, nothing else.
"""

import pathlib
import re
import sys


def slug(heading):
    """The anchor that GitHub gives a heading."""
    heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def blocks(text):
    """[(language of a fenced block or None, line)]; the fences themselves belong to it."""
    language = None
    for line in text.split("\n"):
        fence = re.match(r"```(\w*)", line)
        if fence and language is None:
            language = fence[1]
            yield language, line
        elif fence:
            yield language, line
            language = None
        else:
            yield language, line


def anchors(text):
    """Anchors of a page's headings, in order; one that comes again gets a number, as on GitHub."""
    result = []
    for language, line in blocks(text):
        heading = re.match(r"#+ (.*)", line) if language is None else None
        if heading:
            name = slug(heading[1])
            count = sum(re.fullmatch(re.escape(name) + r"(-\d+)?", other) is not None for other in result)
            result.append(f"{name}-{count}" if count else name)
    return result


def line_for_doxygen(line, page, names):
    heading = re.match(r"##+ ", line)
    if re.match(r"#+ ", line):
        name = next(names)
        if heading:
            line += f" {{#{page}-{name}}}"
    if page == "index":
        line = re.sub(r"\[([^]]*)\]\((\w[\w-]*)\.md\)(?=:| and)",
                      lambda link: f'@subpage md_docs_{link[2].replace("-", "_")} "{link[1]}"', line)
    line = re.sub(r"\[([^]]*)\]\((\w[\w-]*)\.md#([\w-]+)\)", r"[\1](@ref \2-\3)", line)
    line = re.sub(r"\[([^]]*)\]\(#([\w-]+)\)", rf"[\1](@ref {page}-\2)", line)
    line = re.sub(r"\[([^]]*)\]\(\.\./[^)]*\)", r"\1", line)
    line = re.sub(r"(?<=\d)<!--[^>]*-->", "", line)
    return re.sub(r"\$`([^`]*)`\$", r"\\f$\1\\f$", line)


def for_doxygen(text, page):
    names = iter(anchors(text))
    result, inside = [], False
    for language, line in blocks(text):
        if language == "math":
            if line.startswith("```"):
                line = "\\f]" if inside else "\\f["
                inside = not inside
        elif language is None:
            line = line_for_doxygen(line, page, names)
        result.append(line)
    return "\n".join(result)


if __name__ == "__main__":
    path = pathlib.Path(sys.argv[1])
    sys.stdout.write(for_doxygen(path.read_text(encoding="utf-8"), path.stem))
