#!/usr/bin/env python3
"""Ten million rows from files: errors and memory of peers that read blocks, at equal seconds.

    benchmarks/large.py [--rows N] [--seconds S] [--command build/release/examples/mgdl]

Friedman's first function of five of eight inputs, noise of standard deviation 0.1, float32, in two .npy files. mgdl
reads them with --memory 200M. Peers, each in a process of its own, given the same seconds for training: scikit-learn's
MLPRegressor (two hidden layers of 64, Adam) and SGDRegressor on 512 random ReLU features, by partial_fit over blocks of
16384 rows in a random order; xgboost's trees of histograms, from blocks (DataIter), as many rounds as there is time for.
All on one thread. The error is that on 200,000 other rows without noise; memory is the largest that was resident.
"""
import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

BLOCK = 16384
INPUTS = 8


def friedman(X):
    return (10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4])


def make(folder, rows):
    """Block by block, so that this process stays small."""
    rng = np.random.default_rng(1)
    X = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (rows, INPUTS))
    Y = np.lib.format.open_memmap(folder / "y.npy", "w+", np.float32, (rows, 1))
    for first in range(0, rows, 64 * BLOCK):
        last = min(first + 64 * BLOCK, rows)
        block = rng.random((last - first, INPUTS), np.float32)
        X[first:last] = block
        Y[first:last, 0] = friedman(block) + 0.1 * rng.standard_normal(last - first, np.float32)
    X.flush()
    Y.flush()
    test = np.random.default_rng(2).random((200000, INPUTS), np.float32)
    np.save(folder / "xt.npy", test)
    np.save(folder / "yt.npy", friedman(test).astype(np.float32)[:, None])


def blocks(folder, seed):
    """Of all rows, in a random order, for ever."""
    X, Y = (np.load(folder / name, mmap_mode="r") for name in ("x.npy", "y.npy"))
    rng = np.random.default_rng(seed)
    while True:
        for k in rng.permutation((len(X) + BLOCK - 1) // BLOCK):
            yield np.array(X[k * BLOCK:(k + 1) * BLOCK]), np.array(Y[k * BLOCK:(k + 1) * BLOCK, 0])


def partial_fit(folder, seconds, model, features):
    mean, scale = 0.5, 12 ** -0.5
    start = time.monotonic()
    centre = spread = None
    for X, y in blocks(folder, 3):
        if centre is None:
            centre, spread = y.mean(), y.std()
        model.partial_fit(features((X - mean) / scale), (y - centre) / spread)
        if time.monotonic() - start >= seconds:
            break
    took = time.monotonic() - start
    return took, lambda X: model.predict(features((X - mean) / scale)) * spread + centre


def mlp(folder, seconds):
    from sklearn.neural_network import MLPRegressor
    return partial_fit(folder, seconds, MLPRegressor((64, 64), batch_size=256, learning_rate_init=1e-3), lambda X: X)


def sgd(folder, seconds):
    from sklearn.linear_model import SGDRegressor
    rng = np.random.default_rng(4)
    W = rng.standard_normal((INPUTS, 512)).astype(np.float32) / INPUTS ** 0.5
    b = rng.standard_normal(512).astype(np.float32)
    model = SGDRegressor(learning_rate="invscaling", eta0=1e-3, alpha=0)
    return partial_fit(folder, seconds, model, lambda X: np.maximum(X @ W + b, 0) / 16)


def trees(folder, seconds):
    import xgboost

    class Files(xgboost.DataIter):
        def __init__(self):
            self.X, self.Y = (np.load(folder / name, mmap_mode="r") for name in ("x.npy", "y.npy"))
            self.next_row = 0
            super().__init__(cache_prefix=str(folder / "cache"))

        def next(self, add):
            if self.next_row >= len(self.X):
                return 0
            rows = slice(self.next_row, self.next_row + 64 * BLOCK)
            add(data=np.array(self.X[rows]), label=np.array(self.Y[rows, 0]))
            self.next_row += 64 * BLOCK
            return 1

        def reset(self):
            self.next_row = 0

    start = time.monotonic()

    class Clock(xgboost.callback.TrainingCallback):
        def after_iteration(self, model, epoch, log):
            return time.monotonic() - start >= seconds

    data = xgboost.DMatrix(Files())
    model = xgboost.train({"tree_method": "approx", "max_depth": 8, "eta": 0.2, "nthread": 1}, data, 10000,
                          callbacks=[Clock()])
    took = time.monotonic() - start
    return took, lambda X: model.predict(xgboost.DMatrix(X))


PEERS = {"MLPRegressor 2x64": mlp, "SGDRegressor, 512 random features": sgd, "xgboost": trees}


def run_peer(name, folder, seconds):
    took, predict = PEERS[name](folder, seconds)
    X, Y = np.load(folder / "xt.npy"), np.load(folder / "yt.npy")
    print(took, float(np.sqrt(np.mean((predict(X) - Y[:, 0]) ** 2))))


def measured(command):
    """Its output, seconds and the largest memory that was resident, in MB."""
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} ended with {status}")
    return output, time.monotonic() - start, usage.ru_maxrss / 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=float, default=1e7)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--command", default="build/release/examples/mgdl")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        return run_peer(options.peer, pathlib.Path(options.folder), options.seconds)

    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = pathlib.Path(name)
        make(folder, int(options.rows))
        command = [options.command, "fit", "--input", str(folder / "x.npy"), "--target", str(folder / "y.npy"),
                   "--scalar", "float32", "--memory", "200M", "--threads", "1", "--trainer", "gradient", "--width", "64",
                   "--grades", "1", "--time-limit", str(options.seconds), "--output", str(folder / "model.mgdl"),
                   "--report", str(folder / "report.json"), "--quiet"]
        _, took, memory = measured(command)
        test = [options.command, "predict", "--model", str(folder / "model.mgdl"), "--input", str(folder / "xt.npy"),
                "--output", str(folder / "p.npy")]
        measured(test)
        error = float(np.sqrt(np.mean((np.load(folder / "p.npy") - np.load(folder / "yt.npy")) ** 2)))
        print("| | seconds of training | RMSE | resident, MB |\n|---|---|---|---|")
        print(f"| mgdl fit --memory 200M, 64 units a layer | {took:.0f} | {error:.3g} | {memory:.0f} |", flush=True)
        for peer in PEERS:
            output, _, memory = measured([sys.executable, __file__, "--peer", peer, "--folder", name, "--seconds",
                                          str(took)])
            seconds, error = map(float, output.split())
            print(f"| {peer} | {seconds:.0f} | {error:.3g} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
