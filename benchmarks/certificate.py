#!/usr/bin/env python3
"""How a certificate closes: objective and proven lower bound after every step of the convex solver.

    script/benchmark certificate [--mgdl FILE]

The first 60 samples of examples/data/sensor.csv, all patterns, as in step 8 of docs/tutorial.md. Every row is a run of
`mgdl convex` that ends at a gap below that of the row before; what it prints is the certificate, computed
from the samples and the network. Numbers depend on steps, not on seconds. Needs Python 3.8, nothing else.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS = 60
TOLERANCE = 1e-6


def reports(command, folder):
    """Reports of runs that end one step, or a few, after each other."""
    table = folder / "first.csv"
    lines = (ROOT / "examples/data/sensor.csv").read_text().split("\n")
    table.write_text("\n".join(lines[:2 + ROWS]) + "\n")
    gap = 0.999
    while True:
        subprocess.run([command, "convex", "--csv", table, "--target-columns", "pressure", "--formulation", "relu",
                        "--all-patterns", "--lambda-ratio", "1e-5", "--gap", repr(gap), "--quiet",
                        "--report", folder / "report.json"], check=True, stderr=subprocess.DEVNULL)
        report = json.loads((folder / "report.json").read_text())
        yield report
        if report["relative_gap"] <= TOLERANCE:
            return
        # The solver goes by a gap of its own, relative to the same objective, that may differ by rounding.
        gap = max(TOLERANCE, min(0.9 * gap, 0.99 * report["relative_gap"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mgdl", default=ROOT / "build/release/examples/mgdl", metavar="FILE")
    arguments = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as name:
        for report in reports(arguments.mgdl, pathlib.Path(name)):
            rows[report["iterations"]] = report
    print("steps  objective  proven bound  relative gap")
    figures = []
    for steps, report in sorted(rows.items()):
        print(f"{steps:5}  {report['primal']:9.5f}  {report['dual']:12.5f}  {report['relative_gap']:12.2e}")
        for key, value in (("objective", "primal"), ("bound", "dual"), ("gap", "relative_gap")):
            figures.append(f"step{steps}.{key} {report[value]!r}\n")
    if "MGDL_FIGURES" in os.environ:
        pathlib.Path(os.environ["MGDL_FIGURES"]).write_text("".join(figures))


if __name__ == "__main__":
    main()
