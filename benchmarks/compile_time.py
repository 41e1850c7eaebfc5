#!/usr/bin/env python3
"""What it costs to compile with mgdl, beside programs that use Eigen alone.

Every row is compiled in turn, --repeat times; printed are medians of the seconds of processor time, which
on an idle machine are those on the clock and on a busy one hardly differ, and the largest memory. Then the units of the compiled library, once each, and the sizes of the headers.
CXX is the compiler [g++], CXXFLAGS its flags [-std=c++20 -O3 -march=native -DNDEBUG].
"""

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EIGEN_PROGRAM = """
#include <Eigen/Dense>
#include <iostream>

int main() {
  const Eigen::MatrixXd a = Eigen::MatrixXd::Random(50, 20);
  const Eigen::VectorXd b = Eigen::VectorXd::Random(50);
  const Eigen::MatrixXd gram = a.transpose() * a;
  const Eigen::VectorXd x = gram.llt().solve(a.transpose() * b);
  std::cout << x.transpose() << '\\n' << (a * x - b).norm() << '\\n' << (a * gram).sum() << '\\n';
}
"""


def compiler_call():
    flags = shlex.split(os.environ.get("CXXFLAGS", "-std=c++20 -O3 -march=native -DNDEBUG"))
    roots = [Path(p) / "eigen3" for p in ("/usr/include", "/usr/local/include", "/opt/homebrew/include")]
    eigen = [flag for path in roots if path.is_dir() for flag in ("-isystem", str(path))]
    return [os.environ.get("CXX", "g++"), *flags, "-I", str(ROOT / "include"), *eigen]


def compile_once(source, flags, work):
    """Seconds and MB of one call of the compiler."""
    process = subprocess.Popen([*compiler_call(), *flags, "-c", str(source), "-o", str(work / "object.o")])
    _, status, usage = os.wait4(process.pid, 0)  # with what the driver has waited for
    if status != 0:
        sys.exit(f"compile_time: {source} does not compile")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--no-units", action="store_true", help="leave out the units of the compiled library")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)

        def written(name, text):
            (work / name).write_text(text)
            return work / name

        program = "Eigen program"
        header = "#include <Eigen/Dense>"
        rows = [  # name, source, flags, what it is compared with
            (program, written("eigen.cpp", EIGEN_PROGRAM), [], program),
            ("README program, headers only", ROOT / "examples/readme.cpp", [], program),
            ("README program, mgdl::compiled", ROOT / "examples/readme.cpp", ["-DMGDL_COMPILED=1"], program),
            ("convex_certified.cpp, headers only", ROOT / "examples/convex_certified.cpp", [], program),
            (header, written("dense.cpp", header + "\n"), [], header),
            ('#include "mgdl/mgdl.hpp"', written("mgdl.cpp", '#include "mgdl/mgdl.hpp"\n'), [], header),
            ('#include "mgdl/convex.hpp"', written("convex.cpp", '#include "mgdl/convex.hpp"\n'), [], header),
        ]
        seconds = {name: [] for name, *_ in rows}
        memory = dict.fromkeys(seconds, 0)
        for turn in range(arguments.repeat):
            for name, source, flags, _ in rows:
                print(f"compile_time: turn {turn + 1} of {arguments.repeat}: {name}", file=sys.stderr)
                s, m = compile_once(source, flags, work)
                seconds[name].append(s)
                memory[name] = max(memory[name], m)
        median = {name: statistics.median(values) for name, values in seconds.items()}
        print(f"{'':46}{'seconds':>9}{'MB':>7}   of Eigen's")
        for name, _, _, base in rows:
            print(f"{name:46}{median[name]:9.2f}{memory[name]:7}   {median[name] / median[base]:.2f}")

        if not arguments.no_units:
            units = []
            for impl in sorted((ROOT / "include").rglob("*_impl.hpp")):
                name = impl.relative_to(ROOT / "include").as_posix()
                print(f"compile_time: {name}", file=sys.stderr)
                unit = written("unit.cpp", f'#include "{name}"\n')
                units.append((*compile_once(unit, ["-DMGDL_COMPILED=1"], work), name))
            print(f"\n{'unit of mgdl::compiled':46}{'seconds':>9}{'MB':>7}")
            for s, m, name in sorted(units, reverse=True):
                print(f"{name:46}{s:9.2f}{m:7}")
            print(f"{'sum':46}{sum(s for s, *_ in units):9.2f}")

    headers = list((ROOT / "include/mgdl").rglob("*.hpp"))
    lines = sum(len(path.read_text().splitlines()) for path in headers)
    drawer = sum("detail" in path.parts for path in headers)
    print(f"\n{len(headers)} headers, {lines} lines, {drawer} files in folders called detail")


if __name__ == "__main__":
    main()
