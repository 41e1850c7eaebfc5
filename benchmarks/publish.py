#!/usr/bin/env python3
"""Keeps the figures of a benchmark's run in docs/benchmarks/<name>.json, with the machine and its load.

    benchmarks/publish.py <name> <file of "key value" lines> <load before> <command>

script/benchmark <name> --publish calls it. docs/generate.py then writes the figures to where README.md and
docs quote them. Needs Python 3, nothing else.
"""

import datetime
import json
import math
import os
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def output(*command):
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return run.stdout.strip() if run.returncode == 0 else ""


def number(text):
    value = float(text)
    if not math.isfinite(value):
        sys.exit(f"benchmarks/publish.py: {text} is no figure")
    return int(value) if value.is_integer() and abs(value) < 1e15 and "e" not in text else value


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    name, lines, load, command = sys.argv[1:]
    figures = {}
    for line in read(lines).splitlines():
        key, value = line.split()
        if key in figures:
            sys.exit(f"benchmarks/publish.py: two figures are called {key}")
        figures[key] = number(value)
    if not figures:
        sys.exit(f"benchmarks/publish.py: benchmark {name} has written no figures")
    cpu = re.search(r"model name\s*: (.*)", read("/proc/cpuinfo"))
    system = re.search(r'PRETTY_NAME="(.*)"', read("/etc/os-release"))
    changes = output("git", "status", "--porcelain", "--untracked-files=no", "--", "include", "benchmarks")
    result = {
        "command": command,
        "date": datetime.date.today().isoformat(),
        "commit": output("git", "rev-parse", "--short=10", "HEAD") + (" with changes" if changes else ""),
        "machine": {
            "processor": cpu[1] if cpu else platform.processor(),
            "threads": os.cpu_count(),
            "system": system[1] if system else platform.platform(),
            "load before and after": [float(load), os.getloadavg()[0]],
        },
        "figures": figures,
    }
    path = ROOT / "docs/benchmarks" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"wrote {path.relative_to(ROOT)}, {len(figures)} figures")


if __name__ == "__main__":
    main()
