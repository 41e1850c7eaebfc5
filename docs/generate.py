#!/usr/bin/env python3
"""Writes what README.md and docs have from elsewhere, into the places that comments mark:

    <!-- options: training/sampled_trainer.hpp SampledOptions --> table <!-- end -->
        the fields of a struct, from its header
    <!-- help: fit --> tables <!-- end -->
        the flags of a subcommand, from what `mgdl fit --help` prints
    <!-- examples/readme.cpp --> ```cpp ... ```
        a program, from its file
    <!-- from examples/resume.cpp --> ```cpp ... ```
        lines of a program, which have to be in its file, one after the other; nothing is written
    1.2e-3<!--theorem:rse.1-->
        a figure, from docs/benchmarks/theorem.json, at the precision that is there

It also draws the pictures of the landing page (docs/pictures.py) from docs/benchmarks, and checks that
docs/status.md has a row for every value of Termination, that numbers in the tables of README.md are marked and
that links within the project lead somewhere.
With --check, nothing is written, and what differs is an error. Needs Python 3.8, nothing else.
"""

import argparse
import difflib
import json
import pathlib
import re
import subprocess
import sys
import textwrap

import doxygen_filter
import pictures

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = ROOT / "include/mgdl"
BENCHMARKS = ROOT / "docs/benchmarks"
COMMAND = ROOT / "build/release/examples/mgdl"

problems = []


# --- Fields of structs -----------------------------------------------------------------------------

def body(text, opening):
    """What is between the braces that follow `opening`."""
    start = text.index("{", text.index(opening)) + 1
    depth, at = 1, start
    while depth:
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
    return text[start:at - 1]


def sentence(lines):
    """Lines of a documentation comment as one line of Markdown."""
    text = " ".join(line.strip() for line in lines if not re.match(r"\s*\\[{}]", line))
    return plain(text)


def plain(text):
    """Text of a table's cell: what Markdown would read as its own, outside of `code`, is escaped."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part.replace("|", "\\|") if part.startswith("`") else re.sub(r"([|*])", r"\\\1", part)
                   for part in parts)


def enumerators(name):
    """[(name, documentation)] of an enum class of the library; empty if there is none."""
    for path in sorted(INCLUDE.rglob("*.hpp")):
        text = path.read_text()
        if f"enum class {name} {{" not in text:
            continue
        result, above = [], []
        for line in body(text, f"enum class {name} {{").split("\n"):
            comment = re.match(r"\s*///(?!<) ?(.*)", line)
            value = re.match(r"\s*(\w+)(?: = [^,]*)?,?\s*(?:///< ?(.*))?$", line)
            after = re.match(r"\s*///< ?(.*)", line)
            if comment:
                above.append(comment[1])
            elif value:
                result.append([value[1], above + [value[2] or ""]])
                above = []
            elif after:
                result[-1][1].append(after[1])
        return [(value, sentence(lines).strip()) for value, lines in result]
    return []


def fields(header, struct):
    """[(names, type, default, documentation)] of the members before the first function."""
    text = body((INCLUDE / header).read_text(), f"struct {struct} {{")
    result, above, together = [], [], False
    for line in text.split("\n"):
        comment = re.match(r"\s*///(?!<) ?(.*)", line)
        # `Type name = default;  ///< documentation`, and with braces instead of ` = `
        member = re.match(r"\s*([\w:<>* ]+?)[ *]+?\*?(\w+)(?: = (.*?)|\{(.*?)\});\s*(?:///< ?(.*))?$", line)
        if comment:
            if comment[1].strip() == "\\{":
                together = True
            elif comment[1].strip() == "\\}":
                together, above = False, []
            elif comment[1].startswith("\\throws"):
                break
            else:
                above.append(comment[1])
        elif member:
            kind, name, default, braces, after = member.groups()
            lines = above + ([after] if after else [])
            if together and result and result[-1][3] == sentence(lines):
                result[-1][0].append(name)
            else:
                result.append(([name], kind, braces if default is None else default, sentence(lines)))
            if not together:
                above = []
        elif line.strip():
            raise ValueError(f"{header}: cannot read '{line.strip()}' of {struct}")
    return result


def default_text(kind, default):
    plain = re.sub(r"std::numeric_limits<\w+>::infinity\(\)", "infinity", default)
    plain = re.sub(r"\b[A-Z]\w+::(\w+)", r"\1", plain)
    if plain in ("", "{}", "nullptr"):
        if kind.startswith("Executor"):
            return "0"
        if kind.endswith("Options"):
            return "its defaults"
        if kind == "Loss":
            return "`Squared`"
        values = enumerators(kind)
        return f"`{values[0][0]}`" if values else "none"
    return plain if re.fullmatch(r"[\d.e+-]+|infinity|true|false", plain) else f"`{plain}`"


def options_table(argument):
    header, struct = argument.split()
    rows = ["| Field | Default | Meaning |", "|---|---|---|"]
    for names, kind, default, meaning in fields(header, struct):
        inner = re.fullmatch(r"std::optional<(.*)>", kind)
        values = [f"`{value}`" + (f": {text}" if text else "")
                  for value, text in enumerators(inner[1] if inner else kind)]
        meaning = meaning.rstrip(".")
        if values:
            meaning += ". " + "; ".join(value.rstrip(".") for value in values)
        names = ", ".join(f"`{name}`" for name in names)
        rows.append(f"| {names} | {default_text(kind, default)} | {meaning}. |")
    return "\n".join(rows)


# --- Flags of the command --------------------------------------------------------------------------

def help_tables(command, subcommand):
    text = subprocess.run([command, subcommand, "--help"], check=True, capture_output=True,
                          text=True).stdout
    groups, group, last = [], None, None
    for line in text.split("\n"):
        heading = re.match(r"(\w[\w ]*):$", line)
        # "  --flag VALUE [default]    meaning", the meaning below where the rest is long
        flag = re.match(r"  (?:-\w,)?(--\S+)(?: (\S+))??(?: \[(.*?)\])?(?: {2,}(\S.*)|)$", line)
        more = re.match(r" {20,}(\S.*)$", line)
        if heading:
            group = heading[1]
            last = None
        elif flag and group and not re.match(r"    ", line):
            if not groups or groups[-1][0] != group:
                groups.append((group, []))
            last = list(flag.groups(""))
            groups[-1][1].append(last)
        elif more and last:
            last[3] = (last[3] + " " + more[1]).strip()
        elif not line:
            last = None
    lines = []
    for group, rows in groups:
        if len(groups) > 1 and group != "Options":
            lines += [f"**{group}**", ""]
        rows = [row for row in rows if row[0] != "--help"]
        if not rows:
            continue
        lines += ["| Flag | Default | Meaning |", "|---|---|---|"]
        for flag, value, default, meaning in rows:
            # Flags as code, which Doxygen would set with a dash; and nothing that Markdown reads.
            meaning = re.sub(r"(--[a-z][a-z-]*)", r"`\1`", plain(meaning))
            lines.append(f"| `{flag}{' ' + value if value else ''}` | {default} | {meaning} |")
        lines.append("")
    return "\n".join(lines).strip()


# --- Figures ---------------------------------------------------------------------------------------

FIGURE = re.compile(r"(?P<number>-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)<!--(?P<name>\w+):(?P<key>[^\s>]+)-->")


def at_precision_of(text, value):
    """`value` with as many digits as `text`, written in the same way."""
    if "e" in text:
        decimals = len(text.split("e")[0].partition(".")[2])
        mantissa, exponent = f"{value:.{decimals}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    if "." in text:
        return f"{value:.{len(text.partition('.')[2])}f}"
    if "," in text:  # the zeros that it ends with are no digits of it
        digits = max(1, len(text.replace(",", "").rstrip("0")))
        return f"{float(f'{value:.{digits - 1}e}'):,.0f}"
    return f"{value:.0f}"


def figures_of(name, cache={}):
    if name not in cache:
        path = BENCHMARKS / f"{name}.json"
        cache[name] = json.loads(path.read_text())["figures"] if path.exists() else None
    return cache[name]


def with_figures(path, text):
    def figure(match):
        figures = figures_of(match["name"])
        where = f"{path.relative_to(ROOT)}: {match[0]}"
        if figures is None:
            problems.append(f"{where}: there is no docs/benchmarks/{match['name']}.json")
        elif match["key"] not in figures:
            problems.append(f"{where}: docs/benchmarks/{match['name']}.json has no such figure")
        else:
            value = figures[match["key"]]
            number = at_precision_of(match["number"], value)
            if value != 0 and float(number.replace(",", "")) == 0:
                problems.append(f"{where}: {value} needs more digits")
            return number + match[0][len(match["number"]):]
        return match[0]
    return FIGURE.sub(figure, text)


def check_links():
    """Links of all pages, within this project: files, and headings in them."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("tests/**/*.md"),
             *ROOT.glob("cmake/**/*.md")]
    for page in pages:
        text = "\n".join(line for language, line in doxygen_filter.blocks(page.read_text()) if language is None)
        for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", text)):
            if re.match(r"\w+:", link):
                continue
            file, _, place = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            if not target.exists():
                problems.append(f"{page.relative_to(ROOT)}: there is no {link}")
            elif place and place not in doxygen_filter.anchors(target.read_text()):
                problems.append(f"{page.relative_to(ROOT)}: {link} has no such heading")


def check_readme():
    """Every cell of a table in README.md that is a number says where it comes from."""
    for line in (ROOT / "README.md").read_text().split("\n"):
        for cell in line.strip("|").split("|") if line.startswith("|") else []:
            if re.fullmatch(r"[*\s]*-?\d[\d,.]*(e[+-]?\d+)?( %| s)?[*\s]*", cell):
                problems.append(f"README.md: {cell.strip()} is not marked as a figure of docs/benchmarks: {line}")


# --- All of it -------------------------------------------------------------------------------------

PROGRAM = re.compile(r"(<!-- (examples/\S+) -->\n```\w+\n).*?(\n```)", re.DOTALL)
BLOCK = re.compile(r"(<!-- (options|help): ([^>]*) -->\n).*?(\n<!-- end -->)", re.DOTALL)


EXCERPT = re.compile(r"<!-- from (\S+) -->\n```\w+\n(.*?)\n```", re.DOTALL)


def check_programs(path, text):
    """Every program of a page is that of a file, or lines of it, whatever their indentation."""
    name = path.relative_to(ROOT)
    for excerpt in EXCERPT.finditer(text):
        source = ROOT / excerpt[1]
        lines = textwrap.dedent(excerpt[2]).split("\n")
        there = source.read_text().split("\n") if source.exists() else []
        if not any(textwrap.dedent("\n".join(there[i:i + len(lines)])).split("\n") == lines for i in range(len(there))):
            problems.append(f"{name}: this is not in {excerpt[1]}:\n{excerpt[2]}")
    marked = {found.end() for found in (*PROGRAM.finditer(text), *EXCERPT.finditer(text))}
    for block in re.finditer(r"^```(?:c|cpp)\n(.*?)\n```", text, re.DOTALL | re.MULTILINE):
        if block.end() not in marked:
            problems.append(f"{name}: no comment says which file this is from:\n{block[1]}")


def generated(path, command):
    text = PROGRAM.sub(lambda block: block[1] + (ROOT / block[2]).read_text().rstrip("\n") + block[3],
                       path.read_text())
    check_programs(path, text)
    for block in BLOCK.finditer(text):
        if block[2] == "help" and not command:
            continue  # there is no command where CLI11 is missing
        made = help_tables(command, block[3]) if block[2] == "help" else options_table(block[3])
        text = text.replace(block[0], block[1] + "\n" + made + "\n" + block[4])
    return with_figures(path, text)


def check_status():
    """Rows of the first table of docs/status.md against the values of Termination."""
    table = re.search(r"(\n\| Value .*?\n)\n", (ROOT / "docs/status.md").read_text(), re.DOTALL)[1]
    rows = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    values = [value for value, _ in enumerators("Termination")]
    if rows != values:
        problems.append(f"docs/status.md has rows for {', '.join(rows)};\n"
                        f"  Termination has the values {', '.join(values)}")


def check_structs(pages):
    """Every public struct of options has its table."""
    for path in sorted(INCLUDE.glob("*/*.hpp")):
        if path.parent.name == "linalg":
            continue  # all of it is detail
        for struct in re.findall(r"^struct (\w+Options) {", path.read_text(), re.MULTILINE):
            header = path.relative_to(INCLUDE)
            if f"<!-- options: {header} {struct} -->" not in pages:
                problems.append(f"{struct} of {header} has no table in docs")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if something differs")
    parser.add_argument("--command", default=COMMAND, help="the command mgdl [build/release/examples/mgdl]; "
                        "'none': leave its tables as they are")
    arguments = parser.parse_args()
    command = None if arguments.command == "none" else arguments.command
    if command and not pathlib.Path(command).exists():
        sys.exit(f"docs/generate.py: there is no {command}; build mgdl_command, or say --command none")
    pages = {path: generated(path, command) for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
    drawn = {ROOT / "docs/seconds.svg": pictures.seconds(figures_of("versus_torch")),
             ROOT / "docs/certificate.svg": pictures.certificate(figures_of("certificate"))}
    for path, after in {**pages, **drawn}.items():
        before = path.read_text() if path.exists() else ""
        if before == after:
            continue
        name = str(path.relative_to(ROOT))
        if arguments.check:
            problems.append("\n".join(difflib.unified_diff(
                before.split("\n"), after.split("\n"), name, name + ", generated", lineterm="", n=0)))
        else:
            path.write_text(after)
            print(f"wrote {name}")
    check_status()
    check_readme()
    check_links()
    check_structs("".join(path.read_text() for path in (ROOT / "docs").glob("*.md")))
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        if arguments.check:
            print("run docs/generate.py, or correct what it is made from", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
