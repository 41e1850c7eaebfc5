#!/usr/bin/env python3
"""Runs the command lines of pages, as a reader does who copies them, and compares what they print.

    docs/run_commands.py [--write] [--command build/release/examples/mgdl] docs/tutorial.md...

Every ```sh block of a page is run, one after the other in one shell that ends at the first error, in a
folder that looks like the root of this project once it was built. The ```text block that follows it is what
it prints, standard error included, but for lines of progress. They are the same if all words and all whole
numbers are, and all other numbers up to a tolerance, as the last bits of a fit depend on the machine. Seconds,
gaps below the tolerance and numbers of iterations, boxes and active units are not compared. Before the ```text block, comments say what is looser:

    <!-- within 5 % -->        the tolerance, instead of 25 %
    <!-- loosely: REGEX -->    lines with this in them are not compared; each side has one or more
    <!-- perhaps: REGEX -->    the same; the output may have none
    ...                        as a line: any lines; within a line: anything

Before a ```sh block, <!-- not run --> leaves it out. A picture of the page, ![text](page_x.svg), is x.svg of
the folder where the last block ended. With --write, what differs and all pictures are written to the page.
Exit code 77: a program that the page needs is not installed. Needs Python 3.8 and bash.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
SKIPPED = 77

BLOCK = re.compile(r"(?P<left_out><!-- not run -->\n)?```sh\n(?P<commands>.*?)\n```\n"
                   r"(?:\n(?P<rules>(?:<!--[^>]*-->\n)*)```text\n(?P<output>.*?)\n?```\n)?", re.DOTALL)
PICTURE = re.compile(r"!\[[^]]*\]\((?P<file>(?P<page>\w+?)_(?P<name>\w+\.svg))\)")
VARYING = {"seconds", "stopped", "iterations", "boxes", "active", "gap", "relative gap"}  # columns of tables
PROGRESS = re.compile(r"^(grade \d+/\d+: +\d+%|iteration \d+, )")
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def lines_of(text):
    """Lines without what depends on how long they took, how wide their numbers are and when an iteration ended."""
    lines, header = [], []
    for line in text.strip("\n").split("\n"):
        if PROGRESS.match(line.strip()):
            continue
        words, columns = line.split(), re.split(r" {2,}", line.strip())
        if words and NUMBER.fullmatch(words[0]):
            # From the right, as names of trainers have blanks. `(not kept)` is behind the last column.
            end = len(words) - 2 if words[-1] == "kept)" else len(words)
            for place, column in enumerate(reversed(header)):
                if column in VARYING and place < end:
                    words[end - 1 - place] = "#"
        else:
            header = columns
        line = " ".join(words)
        for varying in (r"\b[\d.]+(?= s\b)", r"\b\d+(?= iterations)", r"(?<=gap )[\d.e+-]+", r"(?<=at most )\S+(?= of the obj)"):
            line = re.sub(varying, "#", line)
        lines.append(line)
    return lines


def same_number(a, b, tolerance):
    if re.fullmatch(r"[-+]?\d+", a) and re.fullmatch(r"[-+]?\d+", b):
        return a == b
    return abs(float(a) - float(b)) <= tolerance * max(abs(float(a)), abs(float(b)))


def same_line(stated, printed, tolerance):
    if "..." in stated:
        pattern = "".join(f"({NUMBER.pattern})" if NUMBER.fullmatch(part) else ".*" if part == "..." else re.escape(part)
                          for part in re.split(rf"({NUMBER.pattern}|\.\.\.)", stated))
        found = re.fullmatch(pattern, printed)
        return found is not None and all(same_number(a, b, tolerance)
                                         for a, b in zip(NUMBER.findall(stated), found.groups()))
    if NUMBER.sub("0", stated) != NUMBER.sub("0", printed):
        return False
    return all(same_number(a, b, tolerance) for a, b in zip(NUMBER.findall(stated), NUMBER.findall(printed)))


def same_lines(stated, printed, tolerance):
    """Whether the printed lines are the stated ones; `...` stands for any lines."""
    if not stated:
        return not printed
    if stated[0] == "...":
        return any(same_lines(stated[1:], printed[i:], tolerance) for i in range(len(printed) + 1))
    return bool(printed) and same_line(stated[0], printed[0], tolerance) and same_lines(
        stated[1:], printed[1:], tolerance)


def difference(stated, printed, rules):
    """What is wrong with the printed text; None if nothing is."""
    within = re.search(r"<!-- within ([\d.]+) % -->", rules)
    tolerance = float(within[1]) / 100 if within else 0.25
    stated, printed = lines_of(stated), lines_of(printed)
    for rule, loose in re.findall(r"<!-- (loosely|perhaps): (.*?) -->", rules):
        for side, lines in [("page", stated), ("output", printed)]:
            if not any(re.search(loose, line) for line in lines) and not (rule == "perhaps" and side == "output"):
                return f"the {side} has no line with {loose}"
        stated, printed = ([line for line in lines if not re.search(loose, line)] for lines in (stated, printed))
    return None if same_lines(stated, printed, tolerance) else "the output is another"


def run(blocks, command, folder):
    """(exit code, what each block printed, the folder where the shell ended)."""
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "build/release/examples").mkdir(parents=True)
    (folder / "build/release/examples/mgdl").symlink_to(pathlib.Path(command).resolve())
    mark = "--- end of block ---"
    script = "set -euo pipefail\n" + "".join(f"{block}\necho; echo '{mark}'; pwd > '{folder}/at'\n" for block in blocks)
    environment = {**os.environ, "LC_ALL": "C", "TERM": "dumb"}
    shell = subprocess.run(["bash", "-c", script], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, env=environment)
    at = folder / "at"
    return shell.returncode, shell.stdout.split(mark + "\n"), pathlib.Path(at.read_text().strip()) if at.exists() else folder


def check(page, command, write):
    """Problems of a page."""
    text = page.read_text(encoding="utf-8")
    blocks = [block for block in BLOCK.finditer(text) if not block["left_out"]]
    if not blocks:
        return [f"{page.name} has no command line"]
    with tempfile.TemporaryDirectory() as name:
        code, outputs, at = run([block["commands"] for block in blocks], command, pathlib.Path(name).resolve())
        problems = []
        if code != 0:
            return [f"{page.name}: exit code {code} of\n{blocks[len(outputs) - 1]['commands']}\n{outputs[-1]}"]
        written = text
        for block, output in reversed(list(zip(blocks, outputs))):
            stated = block["output"]
            if stated is None:
                if lines_of(output) != [""]:
                    problems.append(f"{page.name}: the page does not say what this prints:\n{block['commands']}\n{output}")
                continue
            wrong = difference(stated, output, block["rules"])
            if wrong and write:
                if difference(output, output, block["rules"]):  # then the rules are wrong, not what is stated
                    problems.append(f"{page.name}: {difference(output, output, block['rules'])}\n{block['commands']}\n{output}")
                lines = [line.rstrip() for line in output.strip("\n").split("\n") if not PROGRESS.match(line.strip())]
                written = written[:block.start("output")] + "\n".join(lines) + "\n" + written[block.end("output"):].lstrip("\n")
            elif wrong:
                problems.append(f"{page.name}: {wrong}\n{block['commands']}\n--- stated\n{stated}\n--- printed\n{output}")
        for picture in PICTURE.finditer(text):
            if picture["page"] != page.stem:
                continue
            made = at / picture["name"]
            if not made.exists():
                problems.append(f"{page.name}: nothing has made {picture['name']}")
                continue
            xml.etree.ElementTree.parse(made)  # throws at what is no picture
            if write:
                shutil.copyfile(made, page.parent / picture["file"])
        if written != text:
            page.write_text(written, encoding="utf-8")
            print(f"wrote {page.name}")
        return problems


def self_test():
    same = [("a 1.00 b", "a 1.10 b", ""), ("a 3\n...\nz", "a 3\nb\nc\nz", ""), ("1 of 2, ... s", "1 of 2, 0.5 s", ""),
            ("x\n  2 a", "x\n 2 a\n 3 b", "<!-- loosely: ^[23] [ab] -->\n"), ("1.00", "1.01", "<!-- within 2 % -->\n"), ("x\n2 a", "x", "<!-- perhaps: ^[23] [ab] -->\n"),
            ("1e-5  2", "1.1e-05 2", ""), ("a", "grade 1/4:  3%, x\na", ""), ("in 0.1 s: 9 iterations", "in 3 s: 7 iterations", ""),
            ("n  trainer  seconds  stopped\n1 a 2x64 0.1 Max", "n  trainer  seconds  stopped\n1 a 2x64 7 Max", "")]
    different = [("a 1.00 b", "a 1.50 b", ""), ("a 3", "a 4", ""), ("a", "a\nb", ""), ("a", "b", ""), ("n  rse\n1 0.1", "n  rse\n1 0.2", ""), ("...\nz", "y", ""),
                 ("x", "x\n2 a", "<!-- perhaps: ^[23] [ab] -->\n"), ("x\n2 a", "x", "<!-- loosely: ^[23] [ab] -->\n"), ("1.00", "1.03", "<!-- within 2 % -->\n"), ("0.5", "-0.5", ""),
                 ("2 of 3, ... s", "2 of 4, 1 s", ""), ("n  seconds  trainer\n1 0.1 Max", "n  seconds  trainer\n1 0.1 Min", "")]
    for expected, cases in [(True, same), (False, different)]:
        for case in cases:
            if (difference(*case) is None) != expected:
                sys.exit(f"self-test: {case} should be {'the same' if expected else 'different'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write what differs to the page, and its pictures")
    parser.add_argument("--command", default=ROOT / "build/release/examples/mgdl", metavar="FILE", help="the command mgdl")
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    self_test()
    missing = [program for program in ("bash", "gnuplot", "cc") if shutil.which(program) is None]
    if missing:
        print(f"skipped: without {', '.join(missing)}")
        sys.exit(SKIPPED)
    problems = [problem for page in arguments.pages for problem in check(page, arguments.command, arguments.write)]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        sys.exit("if what is printed is right, run docs/run_commands.py --write, and read what it has written")


if __name__ == "__main__":
    main()
