#!/usr/bin/env python3
"""`mgdl fit` without options beside other regressors, in one run: on functions of 5 to 10 variables and on
tables.

    script/benchmark regression [<option>...]

Functions: 5000 uniform training samples, their targets clean and with noise of 5 % of their standard
deviation; the test samples, 5000 too, are clean in both. Tables: scikit-learn's and those of R packages,
read when this runs (without Rscript or a package they are skipped), and folders with published splits, by
--data; a tenth of the rows to test. Inputs are handed over as they are; the peers standardise inputs and
targets. Everything runs on one core. "Equal seconds" is mgdl once more with --time-limit, as long as the one
of scikit-learn's networks took that had the lowest test error. Seconds are those of the fit; mgdl's include
its start and reading CSV.

Writes regression.json and regression.md (after every problem anew) and regression.svg to the folder --output.
Needs NumPy and scikit-learn; with gnuplot, Rscript and xgboost, it does more. The report names the kernels
that OpenBLAS has chosen for the peers; where it does not know the processor and takes slow ones, PEER_KERNELS
in the environment (SkylakeX, Haswell, ...) chooses others.
"""

import argparse
import csv
import datetime
import io
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Callable, NamedTuple

# Before NumPy, whose BLAS reads them: the peers have one core, and the kernels that their BLAS chooses.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(variable, None)
if os.environ.get("PEER_KERNELS"):
    os.environ["OPENBLAS_CORETYPE"] = os.environ["PEER_KERNELS"]

import numpy as np  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = 5000  # of a function, to train; as many to test
LARGEST_TABLE = 20000  # rows that are used of a table, train and test


class Problem(NamedTuple):
    train_inputs: np.ndarray  # n x d
    train_targets: np.ndarray  # n
    test_inputs: np.ndarray
    test_targets: np.ndarray


class Set(NamedTuple):
    name: str
    measure: str  # "RSE", squared error over squared targets, or "RMSE", in the unit of the target
    source: str
    problem: Callable[[int], Problem]  # of a seed, or the number of a split
    count: int  # of seeds or splits


# --- Functions ------------------------------------------------------------------------------------
#
# All but Friedman's and Ackley's are in the Virtual Library of Simulation Experiments (Surjanovic & Bingham,
# Simon Fraser University, 2013), with these ranges. x holds one column a variable.


def borehole(x):
    """Flow of water through a borehole, m^3 / year (Harper & Gupta, 1983)."""
    radius, influence, t_upper, h_upper, t_lower, h_lower, length, conductivity = x.T
    log_ratio = np.log(influence / radius)
    resistance = 1 + 2 * length * t_upper / (log_ratio * radius**2 * conductivity) + t_upper / t_lower
    return 2 * np.pi * t_upper * (h_upper - h_lower) / (log_ratio * resistance)


def wing_weight(x):
    """Weight of a light aircraft's wing, lb (Forrester, Sobester & Keane, 2008)."""
    area, fuel, aspect, sweep, pressure, taper, thickness, load, weight, paint = x.T
    cosine = np.cos(np.radians(sweep))
    return (0.036 * area**0.758 * fuel**0.0035 * (aspect / cosine**2) ** 0.6 * pressure**0.006 * taper**0.04
            * (100 * thickness / cosine) ** -0.3 * (load * weight) ** 0.49 + area * paint)


def friedman(x):
    """Multivariate adaptive regression splines (Friedman, 1991): five of ten variables have an effect."""
    return 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]


def robot_arm(x):
    """Distance of an arm's end from its shoulder: four angles, then four lengths (An & Owen, 2001)."""
    angle, length = np.cumsum(x[:, :4], axis=1), x[:, 4:]
    return np.hypot(np.sum(length * np.cos(angle), axis=1), np.sum(length * np.sin(angle), axis=1))


def otl_circuit(x):
    """Midpoint voltage of a push-pull circuit without transformer, V (Ben-Ari & Steinberg, 2007)."""
    b1, b2, f, c1, c2, gain = x.T
    base = 12 * b2 / (b1 + b2)
    load = gain * (c2 + 9)
    return (base + 0.74) * load / (load + f) + 11.35 * f / (load + f) + 0.74 * f * load / ((load + f) * c1)


def piston(x):
    """Cycle time of a piston, s (Kenett & Zacks, 1998)."""
    mass, surface, volume, spring, pressure, ambient, filling = x.T
    force = pressure * surface + 19.62 * mass - spring * volume / surface
    gas = pressure * volume / filling * ambient
    position = surface / (2 * spring) * (np.sqrt(force**2 + 4 * spring * gas) - force)
    return 2 * np.pi * np.sqrt(mass / (spring + surface**2 * gas / position**2))


def ackley(x):
    """A connectionist machine for genetic hillclimbing (Ackley, 1987)."""
    return (20 + math.e - 20 * np.exp(-0.2 * np.sqrt(np.mean(x**2, axis=1)))
            - np.exp(np.mean(np.cos(2 * np.pi * x), axis=1)))


FUNCTIONS = {  # name: function, ranges
    "borehole": (borehole, [(0.05, 0.15), (100, 50000), (63070, 115600), (990, 1110), (63.1, 116), (700, 820),
                            (1120, 1680), (9855, 12045)]),
    "wing-weight": (wing_weight, [(150, 200), (220, 300), (6, 10), (-10, 10), (16, 45), (0.5, 1),
                                  (0.08, 0.18), (2.5, 6), (1700, 2500), (0.025, 0.08)]),
    "friedman": (friedman, [(0, 1)] * 10),
    "robot-arm": (robot_arm, [(0, 2 * np.pi)] * 4 + [(0, 1)] * 4),
    "otl-circuit": (otl_circuit, [(50, 150), (25, 70), (0.5, 3), (1.2, 2.5), (0.25, 1.2), (50, 300)]),
    "piston": (piston, [(30, 60), (0.005, 0.02), (0.002, 0.01), (1000, 5000), (90000, 110000), (290, 296),
                        (340, 360)]),
    "ackley-5": (ackley, [(-32.768, 32.768)] * 5),
}


# --- Tables ---------------------------------------------------------------------------------------

R_TABLES = [  # name, package, data set, target, columns to leave out
    ("boston", "MASS", "Boston", "medv", []),
    ("ozone", "mlbench", "Ozone", "V4", []),
    ("meats", "modeldata", "meats", "fat", ["water", "protein"]),
    ("concrete", "modeldata", "concrete", "compressive_strength", []),
    ("ames", "modeldata", "ames", "Sale_Price", []),
    ("diamonds", "ggplot2", "diamonds", "price", []),
]
# Numbers stay, ordered factors and those whose levels are numbers become numbers, other columns are left
# out, and then rows with a missing value.
R_SCRIPT = """
arguments <- commandArgs(TRUE)
if (!requireNamespace(arguments[1], quietly = TRUE)) stop("no R package ", arguments[1])
data(list = arguments[2], package = arguments[1])
number <- function(column) {
  if (is.numeric(column)) return(column)
  if (is.ordered(column)) return(as.integer(column))
  values <- suppressWarnings(as.numeric(levels(column)))
  if (is.factor(column) && !anyNA(values)) return(values[column])
}
columns <- Filter(Negate(is.null), lapply(as.list(get(arguments[2])), number))
write.csv(na.omit(as.data.frame(columns)), row.names = FALSE)
"""


class Unavailable(Exception):
    """Why a table or a peer is not there."""


def r_table(package, data, target, left_out):
    try:
        process = subprocess.run(["Rscript", "--vanilla", "-e", R_SCRIPT, package, data],
                                 env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True)
    except OSError as error:
        raise Unavailable("no Rscript") from error
    if process.returncode != 0:
        raise Unavailable("Rscript: " + process.stderr.strip().splitlines()[0])
    names, *rows = csv.reader(io.StringIO(process.stdout))
    values = np.array(rows, dtype=float)
    inputs = [j for j, name in enumerate(names) if name != target and name not in left_out]
    return values[:, inputs], values[:, names.index(target)]


def load_diabetes():
    from sklearn.datasets import load_diabetes

    return load_diabetes(return_X_y=True, scaled=False)


def load_digits():
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)


def function_problem(name, noise, seed):
    function, ranges = FUNCTIONS[name]
    random = np.random.default_rng(seed)
    low, high = np.array(ranges, dtype=float).T
    train, test = (random.uniform(low, high, (SAMPLES, len(ranges))) for _ in range(2))
    targets = function(train)
    disturbed = targets + noise * targets.std() * random.standard_normal(SAMPLES)
    return Problem(train, disturbed, test, function(test))


def table_problem(inputs, targets, split):
    """A tenth of the rows to test; drawn, as those that are used of a large table."""
    rows = np.random.default_rng(split).permutation(len(targets))[:LARGEST_TABLE]
    test, train = np.split(rows, [math.ceil(len(rows) / 10)])
    return Problem(inputs[train], targets[train], inputs[test], targets[test])


def published_problem(path, split):
    def indices(name):
        return np.loadtxt(path / f"index_{name}.txt", ndmin=1).astype(int)

    data = np.loadtxt(path / "data.txt", ndmin=2)
    inputs, target = data[:, indices("features")], data[:, indices("target")]
    if target.shape[1] != 1:
        raise Unavailable(f"{target.shape[1]} targets")
    train, test = indices(f"train_{split}"), indices(f"test_{split}")
    return Problem(inputs[train], target[train, 0], inputs[test], target[test, 0])


def published_sets(folder, splits):
    """The sets in a folder, which may be one itself, in the form that the literature on neural regression has
    them in since Hernandez-Lobato & Adams (2015): data.txt, and index files of columns and rows, from 0."""
    folders = [path.parent for path in sorted([*folder.glob("data.txt"), *folder.glob("*/data.txt")])]
    if not folders:
        sys.exit(f"regression: --data {folder}: neither data.txt nor a folder with one there")
    for path in map(Path.resolve, folders):
        count = sum((path / f"index_test_{split}.txt").exists() for split in range(splits))
        yield Set(f"{path.parent.name}/{path.name}", "RMSE", "published splits", partial(published_problem, path),
                  count)


def table_set(name, source, load, splits):
    table = []  # read when it is first asked for

    def problem(split):
        if not table:
            table.extend(load())
        return table_problem(*table, split)

    return Set(name, "RMSE", source, problem, splits)


def all_sets(seeds, splits, folders):
    for noise, suffix in ((0, ""), (0.05, "+noise")):
        for name, (function, _) in FUNCTIONS.items():
            yield Set(name + suffix, "RSE", function.__doc__, partial(function_problem, name, noise), seeds)
    yield table_set("diabetes", "scikit-learn", load_diabetes, splits)
    yield table_set("digits", "scikit-learn; the target is the digit", load_digits, splits)
    for name, package, data, target, left_out in R_TABLES:
        load = partial(r_table, package, data, target, left_out)
        yield table_set(name, f"R package {package}", load, splits)
    for folder in folders:
        yield from published_sets(folder, splits)


# --- Peers ----------------------------------------------------------------------------------------
#
# Each function makes a regressor for n samples of d inputs.


def ridge(n, d, seed):
    from sklearn.linear_model import RidgeCV

    return RidgeCV(alphas=np.logspace(-6, 4, 41))


def network(n, d, seed, **options):
    from sklearn.neural_network import MLPRegressor

    if options.get("solver") != "lbfgs":
        # Small tables get small batches: with 200 an epoch would be a step or two.
        options["batch_size"] = int(np.clip(n // 25, 16, 200))
    # Its own tolerance, 1e-4, is larger than what is left of a function without noise.
    return MLPRegressor(random_state=seed, tol=1e-6, **options)


def histogram(n, d, seed):
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(max_iter=1000, early_stopping=True, n_iter_no_change=20,
                                         random_state=seed)


class BoostedTrees:
    """xgboost with as many trees as a tenth of the samples, held out, asks for."""

    def __init__(self, n, d, seed):
        try:
            import xgboost
        except ImportError as error:
            raise Unavailable("no xgboost") from error
        self.seed = seed
        self.model = xgboost.XGBRegressor(n_estimators=3000, learning_rate=0.05, max_depth=6, subsample=0.8,
                                          tree_method="hist", early_stopping_rounds=50, n_jobs=1,
                                          random_state=seed)

    def fit(self, inputs, targets):
        rows = np.random.default_rng(self.seed).permutation(len(targets))
        held_out, rest = np.split(rows, [math.ceil(len(rows) / 10)])
        self.model.fit(inputs[rest], targets[rest], eval_set=[(inputs[held_out], targets[held_out])],
                       verbose=False)

    def predict(self, inputs):
        return self.model.predict(inputs)


def forest(n, d, seed):
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(500, n_jobs=1, random_state=seed)


def gaussian_process(n, d, seed):
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    if n > 1500:
        raise Unavailable("more than 1500 samples")
    kernel = ConstantKernel(1, (1e-3, 1e4)) * Matern(np.ones(d), (1e-2, 1e4), nu=2.5)
    return GaussianProcessRegressor(kernel + WhiteKernel(0.1, (1e-8, 10)), normalize_y=True,
                                    n_restarts_optimizer=1, random_state=seed)


PEERS = {
    "ridge": ridge,
    "mlp-stopped": partial(network, hidden_layer_sizes=(64, 64), early_stopping=True, validation_fraction=0.1,
                           max_iter=1000, n_iter_no_change=30),
    "mlp-adam": partial(network, hidden_layer_sizes=(128, 128), alpha=1e-2, max_iter=500, n_iter_no_change=20),
    "mlp-lbfgs": partial(network, hidden_layer_sizes=(64, 64), alpha=0.1, solver="lbfgs", max_iter=2000,
                         max_fun=100000),
    "histogram": histogram,
    "xgboost": BoostedTrees,
    "forest": forest,
    "gp": gaussian_process,
}
NETWORKS = [name for name in PEERS if name.startswith("mlp-")]


def outcome(problem, predictions, seconds, processor_seconds):
    if predictions.shape != problem.test_targets.shape or not np.isfinite(predictions).all():
        raise RuntimeError("predictions that are not finite, or not one for each sample")
    error = np.mean((predictions - problem.test_targets) ** 2)
    return {"RMSE": math.sqrt(error), "RSE": float(error / np.mean(problem.test_targets**2)),
            "seconds": seconds, "processor_seconds": processor_seconds}


def run_peer(make, problem, seed):
    """Fits to standardised inputs and targets."""
    regressor = make(*problem.train_inputs.shape, seed)
    start, processor_start = time.perf_counter(), time.process_time()
    centre, spread = problem.train_inputs.mean(axis=0), problem.train_inputs.std(axis=0)
    spread[spread == 0] = 1
    target_centre, target_spread = problem.train_targets.mean(), problem.train_targets.std()
    targets = (problem.train_targets - target_centre) / target_spread
    regressor.fit((problem.train_inputs - centre) / spread, targets)
    seconds, processor_seconds = time.perf_counter() - start, time.process_time() - processor_start
    predictions = regressor.predict((problem.test_inputs - centre) / spread) * target_spread + target_centre
    return outcome(problem, predictions, seconds, processor_seconds)


# --- mgdl -----------------------------------------------------------------------------------------


def call(command):
    """Seconds and seconds of processor time."""
    with tempfile.TemporaryFile("w+") as messages:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=messages, stderr=messages)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            messages.seek(0)
            text = messages.read().strip()
            raise RuntimeError(f"{' '.join(map(str, command[:2]))} ended with {process.returncode}: {text}")
    return seconds, usage.ru_utime + usage.ru_stime


def write_csv(path, inputs, targets):
    names = [*(f"x{j + 1}" for j in range(inputs.shape[1])), "y"]
    np.savetxt(path, np.column_stack([inputs, targets]), "%.17g", ",", header=",".join(names), comments="")
    return ",".join(names[:-1])


def run_mgdl(command, options, problem, seed):
    with tempfile.TemporaryDirectory() as folder:
        train, test, model, predictions = (Path(folder) / name for name in
                                           ("train.csv", "test.csv", "model.mgdl", "predictions.npy"))
        write_csv(train, problem.train_inputs, problem.train_targets)
        columns = write_csv(test, problem.test_inputs, problem.test_targets)
        # One thread is no option: it changes no model.
        times = call([command, "fit", "--csv", train, "--target-columns", "y", "--output", model,
                      "--seed", str(seed), "--threads", "1", "--quiet", *options])
        call([command, "predict", "--model", model, "--csv", test, "--columns", columns,
              "--output", predictions])
        return outcome(problem, np.load(predictions).reshape(-1), *times)


# --- Report ---------------------------------------------------------------------------------------


def summarise(record, method):
    """Medians over the runs in which a method has an error, with the range; none: it never has."""
    results = [run["results"][method] for run in record["runs"] if method in run["results"]]
    if not results:
        return None
    errors = [result[record["measure"]] for result in results]
    return {"error": statistics.median(errors), "low": min(errors), "high": max(errors),
            "seconds": statistics.median(result["seconds"] for result in results), "runs": len(results)}


def ratio(record, a, b):
    """Of root mean squared errors; nan if one is missing."""
    if not a or not b:
        return math.nan
    return math.sqrt(a["error"] / b["error"]) if record["measure"] == "RSE" else a["error"] / b["error"]


def lowest(summaries, names):
    return min((summaries[name] for name in names if summaries.get(name)), key=lambda s: s["error"], default=None)


def evaluate(record):
    """What the table and the picture show of a set."""
    summaries = {method: summarise(record, method) for method in ("mgdl", "equal", *PEERS)}
    mgdl, peer, best_network = summaries["mgdl"], lowest(summaries, PEERS), lowest(summaries, NETWORKS)
    equal = [run for run in record["runs"] if "equal" in run["results"]]
    below = sum(run["results"]["equal"]["RMSE"] < run["results"][run["network"]]["RMSE"] for run in equal)
    return {
        "summaries": summaries,
        "to_peer": ratio(record, mgdl, peer),
        "to_network": ratio(record, mgdl, best_network),
        "to_ridge": ratio(record, mgdl, summaries["ridge"]),
        "equal_to_peer": ratio(record, summaries["equal"], peer),
        "ridge_to_peer": ratio(record, summaries["ridge"], peer),
        "network_to_peer": ratio(record, best_network, peer),
        "equal_below_network": below,
        "equal_runs": len(equal),
    }


def counts(evaluations):
    """Sets in which mgdl is ..., and of how many; sets without one of the two are not counted."""
    def count(values, condition):
        known = [value for value in values if not math.isnan(value)]
        return sum(map(condition, known)), len(known)

    def of(key):
        return [evaluation[key] for evaluation in evaluations]

    equal = [e["equal_below_network"] / e["equal_runs"] if e["equal_runs"] else math.nan for e in evaluations]
    return {
        "below every peer": count(of("to_peer"), lambda r: r < 1),
        "below the best of the three networks": count(of("to_network"), lambda r: r < 1),
        "below that network in equal seconds (in more than half of the runs)": count(equal, lambda r: r > 0.5),
        "worse than ridge by more than 2 %": count(of("to_ridge"), lambda r: r > 1.02),
    }


def number(value):
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}".replace("e-0", "e-")


def cell(summary, best):
    if not summary:
        return "-"
    text = number(summary["error"])
    if summary["error"] == best:
        text = f"**{text}**"
    if summary["runs"] > 1:
        text += f" ({number(summary['low'])} to {number(summary['high'])})"
    return f"{text} in {number(summary['seconds'])} s"


def markdown(report):
    records = report["sets"]
    evaluations = {record["name"]: evaluate(record) for record in records}
    methods = ["mgdl", "equal", *(name for name in PEERS if name in report["peers"])]
    lines = ["# Regression", "", __doc__.split("\n\n")[2].replace("\n", " "), "",
             f"{report['mgdl']}, options: {report['fit_options'] or 'none'}; {report['versions']}, on"
             f" {report['machine']}, {report['date']}. Medians, with their range if there are several seeds or"
             " splits; bold is the lowest. The two ratios are of root mean squared errors, mgdl's to that of the"
             " best peer and to that of ridge.",
             ""]
    for measure, title in (("RSE", "Functions: test RSE, squared error over squared targets"),
                           ("RMSE", "Tables: root mean squared test error, in the unit of the target")):
        if not any(record["measure"] == measure for record in records):
            continue
        names = ["set", "n, d", "runs", "mgdl", "mgdl, equal seconds", "below that network", *methods[2:],
                 "to best peer", "to ridge"]
        lines += [f"## {title}", "", f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
        for record in records:
            if record["measure"] != measure:
                continue
            e = evaluations[record["name"]]
            best = lowest(e["summaries"], methods)
            cells = {method: cell(e["summaries"][method], best and best["error"]) for method in methods}
            below = f"{e['equal_below_network']} of {e['equal_runs']}" if e["equal_runs"] else "-"
            row = [record["name"], f"{record['n']}, {record['d']}", str(len(record["runs"])), cells["mgdl"],
                   cells["equal"], below, *(cells[method] for method in methods[2:]), number(e["to_peer"]),
                   number(e["to_ridge"])]
            lines.append(f"| {' | '.join(row)} |")
        lines.append("")
    lines += ["## Counts", ""]
    lines += [f"- {what}: {k} of {n} sets" for what, (k, n) in counts(evaluations.values()).items()]
    failures = [f"- {record['name']}, run {run['run']}, {method}: {text}" for record in records
                for run in record["runs"] for method, text in run["failures"].items()]
    skipped = [f"- {name}: {reason}" for name, reason in report["skipped"].items()]
    for title, items in (("Skipped", skipped), ("Failed", failures)):
        if items:
            lines += ["", f"## {title}", "", *items]
    return "\n".join(lines) + "\n"


def picture(report):
    """A script for gnuplot: a line for each set, from the top."""
    rows, drawn = [], [1.0]
    for record in report["sets"]:
        e = evaluate(record)
        values = [e[key] for key in ("to_peer", "equal_to_peer", "network_to_peer", "ridge_to_peer")]
        rows.append(f'"{record["name"]}" ' + " ".join("NaN" if math.isnan(v) else f"{v:.6g}" for v in values))
        drawn += [value for value in values if value > 0]  # which nan is not
    ticks = ", ".join(f"{m * 10.0**k:g}" for k in range(-3, 5) for m in (1, 2, 5))
    return f"""$errors << END
{chr(10).join(rows)}
END
set terminal svg size 800,{140 + 24 * len(rows)} noenhanced background "white"
set xlabel "root mean squared test error / that of the best peer"
set logscale x
set xrange [{min(drawn) / 1.15:g}:{max(drawn) * 1.15:g}]
set xtics ({ticks})
set yrange [{len(rows) - 0.5}:-0.5]
set grid
set key outside top center horizontal
set arrow from 1, graph 0 to 1, graph 1 nohead lw 2 lc rgb "#000000"
plot $errors using 5:0:ytic(1) with points pt 6 lc rgb "#999999" title "ridge", \\
     $errors using 4:0 with points pt 4 lc rgb "#E69F00" title "best network", \\
     $errors using 3:0 with points pt 9 ps 1.2 lc rgb "#0072B2" title "mgdl, equal seconds", \\
     $errors using 2:0 with points pt 7 ps 1.2 lc rgb "#D55E00" title "mgdl"
"""


def write(path, text):
    """Never half a file."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text)
    os.replace(temporary, path)


def write_report(output, report):
    write(output / "regression.json", json.dumps(report, indent=1) + "\n")
    write(output / "regression.md", markdown(report))


def write_figures(path, report):
    """Lines "set.method.measure value" for benchmarks/publish.py; best-network is the lowest of the three."""
    lines = []
    for record in report["sets"]:
        errors = {method: summary["error"] for method in ("mgdl", "equal", *PEERS)
                  if (summary := summarise(record, method)) is not None}
        networks = [errors[name] for name in NETWORKS if name in errors]
        if networks:
            errors["best-network"] = min(networks)
        lines += [f"{record['name']}.{method}.{record['measure']} {error!r}" for method, error in errors.items()]
    write(Path(path), "\n".join(lines) + "\n")


def write_picture(output, report):
    try:
        process = subprocess.run(["gnuplot", "--default-settings", "-"], input=picture(report),
                                 capture_output=True, text=True)
    except OSError as error:
        return say(f"no regression.svg: gnuplot cannot be started: {error.strerror}")
    if process.returncode != 0:
        return say(f"no regression.svg: gnuplot failed: {process.stderr.strip()}")
    write(output / "regression.svg", process.stdout)


# --- The run --------------------------------------------------------------------------------------


def say(text):
    print(f"regression: {text}", file=sys.stderr, flush=True)


def run(problem, measure, seed, peers, mgdl, options, progress):
    """All methods on one problem."""
    results, failures, skipped = {}, {}, {}

    def attempt(name, function, *arguments):
        try:
            results[name] = function(*arguments)
            progress(f"{name} {measure} {number(results[name][measure])} in {number(results[name]['seconds'])} s")
        except Unavailable as reason:
            skipped[name] = str(reason)
        except Exception as error:  # whatever a regressor throws, the others go on
            failures[name] = str(error)
            progress(f"{name} failed: {error}")

    for name in peers:
        attempt(name, run_peer, PEERS[name], problem, seed)
    attempt("mgdl", run_mgdl, mgdl, options, problem, seed)
    networks = [name for name in NETWORKS if name in results]
    best = min(networks, key=lambda name: results[name]["RMSE"], default=None)
    if best:
        limit = ["--time-limit", f"{results[best]['seconds']:.3f}"]
        attempt("equal", run_mgdl, mgdl, [*options, *limit], problem, seed)
    return {"run": seed, "network": best, "results": results, "failures": failures, "skipped": skipped}


def versions():
    import platform

    import sklearn
    from threadpoolctl import threadpool_info

    texts = [f"Python {platform.python_version()}", f"NumPy {np.__version__}",
             f"scikit-learn {sklearn.__version__}"]
    try:
        import xgboost
        texts.append(f"xgboost {xgboost.__version__}")
    except ImportError:
        pass
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    for library in blas:
        texts.append(f"{library['internal_api']} {library['version']} ({library.get('architecture', 'unknown')})")
    if not blas:
        texts.append("an unknown BLAS, perhaps a slow one")
    return ", ".join(texts)


def machine():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def run_sets(sets, peers, arguments, report):
    """Fills in `report`, and writes it after every problem."""
    for s in sets:
        record = {"name": s.name, "measure": s.measure, "source": s.source, "runs": []}
        if s.count == 0:
            report["skipped"][s.name] = "no index file of a split"
        for k in range(s.count):
            try:
                problem = s.problem(k)
            except Unavailable as reason:
                say(f"{s.name} is skipped: {reason}")
                report["skipped"][s.name] = str(reason)
                break
            done = run(problem, s.measure, k, peers, arguments.mgdl, shlex.split(arguments.fit_options),
                       lambda text: say(f"{s.name}, run {k}: {text}"))
            if k == 0:
                record["n"], record["d"] = problem.train_inputs.shape
                report["sets"].append(record)
            record["runs"].append(done)
            write_report(arguments.output, report)


# --- Self-test ------------------------------------------------------------------------------------

VALUES = {  # at the centre, and where variable j of d has come j / (d + 1) of its range; computed in R
    "borehole": (70.872912636819, 23.3963235707065),
    "wing-weight": (267.624692570436, 256.246451778777),
    "friedman": (14.5710678118655, 7.46118694164958),
    "robot-arm": (0.0, 0.916683897030021),
    "otl-circuit": (5.31061694218833, 5.78941194121897),
    "piston": (0.464397022471802, 0.487180995671121),
    "ackley-5": (0.0, 19.6279051028046),
}


def self_test():
    """Functions, splits and what is made of results, against values that come from elsewhere."""
    failures = []

    def check(what, value, expected, tolerance=1e-12):
        if value != expected and (isinstance(value, list) or
                                  not math.isclose(value, expected, rel_tol=tolerance, abs_tol=1e-12)):
            failures.append(f"{what}: {value}, not {expected}")

    for name, (function, ranges) in FUNCTIONS.items():
        low, high = np.array(ranges, dtype=float).T
        steps = np.arange(1, len(low) + 1) / (len(low) + 1)
        values = function(np.array([(low + high) / 2, low + (high - low) * steps]))
        for where, value, expected in zip(("centre", "steps"), values, VALUES[name]):
            check(f"{name}, {where}", value, expected)
    # Without paint, a Cessna C172 (Gramacy, "Surrogates", 2020); an arm that is straight.
    cessna = [174, 252, 7.52, 0, 33.98, 0.672, 0.12, 3.795, 2004, 0]
    check("wing-weight, Cessna", wing_weight(np.array([cessna]))[0], 233.908, 2e-6)
    check("robot-arm, straight", robot_arm(np.array([[1, 0, 0, 0, 0.1, 0.2, 0.3, 0.4]]))[0], 1)

    clean, noisy = (function_problem("piston", noise, 1) for noise in (0, 0.05))
    noise = np.std(noisy.train_targets - clean.train_targets) / np.std(clean.train_targets)
    check("noise", noise, 0.05, 0.05)
    check("clean test targets", np.abs(noisy.test_targets - piston(noisy.test_inputs)).max(), 0)
    rows = np.arange(25.0)
    split = table_problem(rows[:, None], rows, 3)
    check("rows to test", len(split.test_targets), 3)
    check("rows in all", sorted([*split.train_targets, *split.test_targets]), rows.tolist())

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve() / "one"
        folder.mkdir()
        np.savetxt(folder / "data.txt", np.arange(12).reshape(4, 3))
        for index, values in {"features": [2, 0], "target": [1], "train_0": [3, 0, 1], "test_0": [2]}.items():
            np.savetxt(folder / f"index_{index}.txt", values)
        for given in (folder, folder.parent):
            (one,) = published_sets(given, 5)
            check("published splits", one.count, 1)
            problem = one.problem(0)
            check("published inputs", problem.train_inputs.tolist(), [[11, 9], [2, 0], [5, 3]])
            check("published targets", [*problem.train_targets, *problem.test_targets], [10.0, 1.0, 4.0, 7.0])

    errors = outcome(Problem(None, None, None, np.array([3.0, 4.0])), np.array([3.0, 2.0]), 1, 1)
    check("RMSE", errors["RMSE"], math.sqrt(2))
    check("RSE", errors["RSE"], 4 / 25)

    def result(error):
        return {"RMSE": math.sqrt(error), "RSE": error, "seconds": 1}

    runs = [{"run": k, "network": "mlp-adam", "failures": {}, "results": {
        "mgdl": result(mgdl), "equal": result(equal), "mlp-adam": result(4), "ridge": result(36), "gp": result(1)}}
        for k, (mgdl, equal) in enumerate([(9, 3), (16, 3), (1, 5)])]
    record = {"name": "set", "measure": "RSE", "n": 5, "d": 2, "runs": runs}
    e = evaluate(record)
    for key, expected in (("to_peer", 3), ("to_network", 1.5), ("to_ridge", 0.5), ("equal_below_network", 2)):
        check(key, e[key], expected)
    check("ratio of RMSE", evaluate({**record, "measure": "RMSE"})["to_peer"], 3)
    check("counts", list(counts([e]).values()), [(0, 1), (0, 1), (1, 1), (0, 1)])
    table = markdown({"mgdl": "", "fit_options": "", "versions": "", "machine": "", "date": "", "peers": list(PEERS),
                      "skipped": {}, "sets": [record]})
    check("bold", [part for part in table.split("|") if "**" in part], [" **1** (1 to 1) in 1 s "])

    print("\n".join(failures) or "regression: self-test passed", file=sys.stderr)
    return int(bool(failures))


def main():
    parser = argparse.ArgumentParser(prog="script/benchmark regression", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="draws of each function [1]")
    parser.add_argument("--splits", type=int, default=1, metavar="N", help="splits of each table [1]")
    parser.add_argument("--only", metavar="NAMES", help="some sets: their names or patterns; 'uci/*' are those that "
                        f"--data .../uci has found, the others {', '.join(s.name for s in all_sets(1, 1, []))}")
    parser.add_argument("--peers", default=",".join(PEERS), metavar="NAMES", help=f"[{','.join(PEERS)}]")
    parser.add_argument("--data", action="append", default=[], type=Path, metavar="DIR",
                        help="a set with published splits, or a folder of such; may be repeated")
    # Absolute: a file of this folder is not looked for in PATH.
    parser.add_argument("--mgdl", default=ROOT / "build/release/examples/mgdl", metavar="FILE",
                        type=lambda text: Path(text).absolute(),
                        help="the command [build/release/examples/mgdl]")
    parser.add_argument("--fit-options", default="", metavar="TEXT", help="for mgdl fit, to experiment [none]")
    parser.add_argument("--output", default=ROOT / "build/benchmark", type=Path, metavar="DIR",
                        help="[build/benchmark]")
    parser.add_argument("--self-test", action="store_true", help="check functions and report and end")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    peers = [name for name in arguments.peers.split(",") if name]
    unknown = set(peers) - set(PEERS)
    if unknown:
        parser.error(f"--peers: unknown: {', '.join(sorted(unknown))}")
    sets = list(all_sets(arguments.seeds, arguments.splits, arguments.data))
    if arguments.only:
        patterns = arguments.only.split(",")
        useless = [pattern for pattern in patterns if not any(fnmatch(s.name, pattern) for s in sets)]
        if useless:
            parser.error(f"--only: no set: {', '.join(useless)}")
        sets = [s for s in sets if any(fnmatch(s.name, pattern) for pattern in patterns)]

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    warnings.simplefilter("ignore")  # of networks that have not converged
    try:
        version = subprocess.run([arguments.mgdl, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        parser.error(f"--mgdl: {error}")
    report = {"mgdl": version.strip(), "fit_options": arguments.fit_options, "peers": peers,
              "versions": versions(), "machine": machine(), "date": datetime.date.today().isoformat(),
              "skipped": {}, "sets": []}
    say(report["versions"])
    arguments.output.mkdir(parents=True, exist_ok=True)
    interrupted = False
    try:
        run_sets(sets, peers, arguments, report)
    except KeyboardInterrupt:
        interrupted = True
        say("interrupted; the report has the runs that were complete")
    write_report(arguments.output, report)
    write_picture(arguments.output, report)
    if "MGDL_FIGURES" in os.environ:
        write_figures(os.environ["MGDL_FIGURES"], report)
    print(markdown(report), end="")
    failed = any(method in run["failures"] for record in report["sets"] for run in record["runs"]
                 for method in ("mgdl", "equal"))
    return 130 if interrupted else int(failed)


if __name__ == "__main__":
    sys.exit(main())
