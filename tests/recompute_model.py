"""Recomputes what a model file states, from the file and the samples of its fit, in NumPy: nothing here is shared with
the library but the description of the file in docs/format.md.

    python3 recompute_model.py model.mgdl X.npy Y.npy     compares, and exits with 1 if a number is another one
    python3 recompute_model.py --command path/of/mgdl     has that command make models of every kind, and compares;
                                                          a number that is changed must be noticed
"""
import hashlib
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import zlib
from fractions import Fraction

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "examples"))
import read_model  # noqa: E402


# --- Samples: random numbers, split and fingerprint ----------------------------------------------------------------
class Philox:
    """Philox4x32-10; Salmon et al., SC 2011."""

    def __init__(self, seed, stream):
        words = lambda x: [x & 0xFFFFFFFF, x >> 32]
        self.key, self.stream, self.counter, self.block = words(seed), words(stream), 0, []

    def bits(self):
        if not self.block:
            c = [self.counter & 0xFFFFFFFF, self.counter >> 32] + self.stream
            k = list(self.key)
            for _ in range(10):
                p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
                c = [q >> 32 ^ c[1] ^ k[0], q & 0xFFFFFFFF, p >> 32 ^ c[3] ^ k[1], p & 0xFFFFFFFF]
                k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
            self.counter += 1
            self.block = c
        return self.block.pop(0)

    def below(self, bound):
        limit = bound * ((2**64 - 1) // bound)
        while True:
            value = self.bits() << 32 | self.bits()
            if value < limit:
                return value % bound

    def permutation(self, n):
        order = list(range(n))
        for i in range(n, 1, -1):
            b = self.below(i)
            order[i - 1], order[b] = order[b], order[i - 1]
        return order


def split(report, n):
    """Rows of the training part, and of every validation part."""
    if report.get("folds"):
        part = np.empty(n, int)
        part[Philox(report["seed"], 0xF01D5).permutation(n)] = np.arange(n) % report["folds"]
        return np.arange(n), [np.flatnonzero(part == k) for k in range(report["folds"])]
    if report["validation_fraction"] == 0:
        return np.arange(n), []
    held = min(max(math.floor(report["validation_fraction"] * n + 0.5), 1), n - 1)
    order = Philox(report["seed"], 0x5B117).permutation(n)
    return np.sort(order[held:]), [np.sort(order[:held])]


BLOCK = 16384  # samples


def fingerprint(parts):
    digest = hashlib.sha256()
    for X, Y in parts:
        digest.update(np.array([len(X), X.shape[1], Y.shape[1]], "<u8").tobytes())
        numbers = np.ascontiguousarray(np.hstack([X, Y]).astype("<f8") + 0.0)
        if len(X) <= BLOCK:
            digest.update(numbers.tobytes())
        else:
            for first in range(0, len(X), BLOCK):
                digest.update(hashlib.sha256(numbers[first:first + BLOCK].tobytes()).hexdigest().encode())
    return digest.hexdigest()[:32]


# --- Certificates --------------------------------------------------------------------------------------------------
def nnls(B, d):
    """min |B y - d| over y >= 0; Lawson & Hanson."""
    y, passive = np.zeros(B.shape[1]), np.zeros(B.shape[1], bool)
    for _ in range(10 * B.shape[1]):
        gain = B.T @ (d - B @ y)
        gain[passive] = -np.inf
        if passive.all() or gain.max() <= 1e-13 * np.linalg.norm(B) * np.linalg.norm(d):
            break
        passive[gain.argmax()] = True
        while True:
            s = np.zeros_like(y)
            s[passive] = np.linalg.lstsq(B[:, passive], d, rcond=None)[0]
            bad = passive & (s <= 0)
            if not bad.any():
                break
            y = y + (y[bad] / (y[bad] - s[bad])).min() * (s - y)
            passive &= y > 1e-14 * np.abs(y).max()
        y = s
    return y


def patterns_of(X, gate, exact, eps):
    """x~ . gate >= 0. A gate often goes through a sample: near zero each product is added with one rounding, in order.
    Inputs that were rounded otherwise (not exact) leave open on which side such a sample is: all that can be, at most
    16 of them."""
    value = X @ gate
    near = np.flatnonzero(abs(value) <= 4096 * eps * np.linalg.norm(X, axis=1) * np.linalg.norm(gate))
    if exact:
        for i in near:
            value[i] = 0
            for x, g in zip(X[i], gate):
                value[i] = float(Fraction(x) * Fraction(g) + Fraction(value[i]))
        return [value >= 0]
    result = []
    for sides in itertools.product([True, False], repeat=min(len(near), 4)):
        pattern = value >= 0
        pattern[near[:4]] = sides
        result.append(pattern)
    return result


def gated_values(X, blocks, patterns, values):
    """Of a gated solution; where a pattern is left open, as near to `values` as can be."""
    parts = [X @ U for U in blocks]
    result = np.zeros_like(values)
    for i in range(len(X)):
        sides = [sorted({bool(p[i]) for p in choices}) for choices in patterns]
        sums = [sum((part[i] for part, on in zip(parts, choice) if on), np.zeros(values.shape[1]))
                for choice in itertools.product(*sides)]
        result[i] = min(sums, key=lambda v: abs(v - values[i]).max())
    return result


def cone_maximum(X, pattern, c):
    """max c.u over |u| <= 1 in the cone of the pattern, and of -c: the length of a projection."""
    A = np.where(pattern, 1.0, -1.0)[:, None] * X
    return max(np.linalg.norm(v + A.T @ nnls(A.T, -v)) for v in (c, -c))


def all_patterns(X):
    """Patterns of all cells that the planes x~ . u = 0 cut space into, those around every vertex."""
    found, p = set(), X.shape[1]
    for rows in itertools.combinations(range(len(X)), p - 1):
        vertex = np.linalg.svd(X[list(rows)])[2][-1]
        for side in (vertex, -vertex):
            pattern = X @ side >= 0
            for signs in itertools.product([False, True], repeat=p - 1):
                pattern[list(rows)] = signs
                found.add(pattern.tobytes())
    return [np.frombuffer(pattern, bool) for pattern in found]


def dual_value(linear, quadratic, maximum, penalty, longest=None):
    limit = penalty / maximum if maximum > 0 else np.inf
    if longest is not None:  # a loss of bounded slope: its dual points may not be turned around, or grow too long
        limit = min(limit, longest)
        best = linear / quadratic if quadratic > 0 else limit if linear > 0 else 0.0
        s = min(max(best, 0.0), limit)
    elif not quadratic > 0:
        return 0.0
    else:
        s = min(max(linear / quadratic, -limit), limit)
    return max(0.0, s * (linear - s * quadratic / 2))


class BoundedSlopes:
    """Huber's loss and that of a quantile, of samples of one weight: cost, slopes, and their conjugate."""

    def __init__(self, kind, parameter, unit):
        self.huber = kind == "Huber"
        self.upper = parameter / unit if self.huber else parameter
        self.lower = -self.upper if self.huber else parameter - 1

    def cost(self, r):
        if self.huber:
            inside = np.abs(r) <= self.upper
            return np.where(inside, r**2 / 2, self.upper * (np.abs(r) - self.upper / 2)).sum()
        return np.maximum(self.lower * r, self.upper * r).sum()

    def shifted(self, s):
        """clip(s - t) for the t where it sums to 0; where the sum jumps there, a value between both sides."""
        clip = lambda t: np.clip(s - t, self.lower, self.upper)
        low, high = s.min() - self.upper, s.max() - self.lower
        while low < (middle := low + (high - low) / 2) < high:
            low, high = (middle, high) if clip(middle).sum() > 0 else (low, middle)
        above, below = clip(low), clip(high)
        return below - below.sum() / (above - below).sum() * (above - below) if above.sum() > below.sum() else above

    def at(self, r, centre):
        """Slopes at residuals; with an output bias those sum to 0."""
        if self.huber:
            return np.clip(self.shifted(r) if centre else r, self.lower, self.upper)
        if centre:
            r = r - np.sort(r)[int(np.ceil(self.upper * len(r) * (1 - 1e-14))) - 1]
        s = np.where(r > 0, self.upper, np.where(r < 0, self.lower, 0.0))
        if centre:
            s[r == 0] = np.clip(-s.sum() / (r == 0).sum(), self.lower, self.upper)
        return s

    def point(self, s, centre):
        """Slopes of a dual point between their bounds."""
        s = np.clip(s, self.lower, self.upper)
        return self.shifted(s) if centre else s

    def longest(self, s):
        used = s[s != 0]
        return np.min(np.where(used > 0, self.upper, self.lower) / used) if len(used) else np.inf


def certificate(witness, tensors, stated, X, Y, network, exact, eps):
    """Of a grade whose inputs and residual these are, in the unit of the residual; exact: the inputs, to the bit. The
    bounds are from ... to: more than one number where patterns are left open."""
    inputs, Y = X, Y / witness["unit"]
    X = X[:, witness["columns"]]
    n, c = Y.shape
    X = np.hstack([X, np.ones((n, 1))]) if witness["bias"] else X
    penalty = stated["lambda"]
    gates = tensors.get("gates")
    patterns = None if gates is None else [patterns_of(X, g, exact, eps) for g in gates]
    gated = witness["gated"]
    if gated is not None:
        blocks = np.split(tensors["gated.coefficients"], len(gated["active"]))
        bias = tensors["gated.bias"]
        on_columns = read_model.evaluate(network, inputs)[0] / witness["unit"] - bias
        value = gated_values(X, blocks, [patterns[j] for j in gated["active"]], on_columns)
        size = sum(np.linalg.norm(U) for U in blocks)
        groups = [list(range(c))]  # outputs that share a dual
        norm = lambda pattern, N: np.linalg.norm(X.T @ (pattern[:, None] * N))
    else:
        (_, hidden, hidden_bias), (_, readout, bias) = network
        V = np.vstack([hidden[witness["columns"]], hidden_bias[None] if witness["bias"] else np.empty((0, len(hidden_bias)))])
        bias = bias / witness["unit"]
        readout = readout / witness["unit"]
        value = np.maximum(X @ V, 0) @ readout
        size = np.linalg.norm(V, axis=0) @ (np.abs(readout).sum(1) if witness["separate_outputs"] else np.linalg.norm(readout, axis=1))
        assert witness["separate_outputs"] or c == 1, "shared neurons are not recomputed"
        groups = [[j] for j in range(c)]
        norm = lambda pattern, N: cone_maximum(X, pattern, X.T @ (pattern * N[:, 0]))
    scope = stated["scope"]
    if patterns is None:
        patterns = [[pattern] for pattern in all_patterns(X)]
    centre = witness["output_bias"]
    w = 1 / n

    kind = stated.get("loss", "Squared")
    loss = None if kind == "Squared" else BoundedSlopes(kind, stated["loss_parameter"], witness["unit"])
    assert loss is None or witness["unit"] == 1, "penalties of other losses have other units"
    columns = lambda slopes, R: np.stack([slopes(R[:, o], centre) for o in range(c)], 1)

    def dual(N):
        N = N - N.mean(0) if centre else N
        low, high, least, most = 0, 0, 0, 0
        for group in groups:
            part = N[:, group]
            norms = [[norm(pattern, part) for pattern in choices] for choices in patterns]
            small, large = max(map(min, norms)), max(map(max, norms))
            sums = (part * (Y - Y.mean(0) if centre else Y)[:, group]).sum(), (part**2).sum() / w
            if loss is not None:
                sums = sums[0], sums[1] if loss.huber else 0.0
                longest = loss.longest(part.ravel() / w)
                low, high = (v + dual_value(*sums, m, penalty, longest) for v, m in ((low, large), (high, small)))
                least, most = max(least, small), max(most, large)
                continue
            low, high = low + dual_value(*sums, large, penalty), high + dual_value(*sums, small, penalty)
            least, most = max(least, small), max(most, large)
        return (low, high), (least, most)

    rest = Y - value - bias
    points, rounding = [w * (Y - value), w * Y], 1e-22 * w * (Y**2).sum() / 2
    primal = w * (rest**2).sum() / 2 + penalty * size
    if loss is not None:
        primal = w * loss.cost(rest) + penalty * size
        points = [w * columns(loss.at, Y - value - (0 if centre else bias)), w * columns(loss.at, Y)]
        rounding = rounding if loss.huber else 1e-11 * w * np.abs(Y).sum()
    bound = dual(points[0])[0]
    if "dual" in tensors:
        point = tensors["dual"] if loss is None else w * columns(loss.point, tensors["dual"] / w)
        bound = tuple(map(max, bound, dual(point)[0]))
    violation = 0.0
    if gated is None and gates is not None:
        cosine = lambda v: (X @ v) / (np.linalg.norm(X, axis=1) * np.linalg.norm(v))
        violation = max(min(max(0.0, -(np.where(pattern, 1, -1) * cosine(v)).min())
                            for choices in patterns for pattern in choices)
                        for v, o in zip(V.T, readout) if np.linalg.norm(v) > 0 and np.abs(o).max() > 0)
    return {"primal": primal, "dual": bound, "lambda_max": dual(points[1])[1], "cone_violation": violation,
            "relative_gap": (stated["primal"] - stated["dual"]) / max(stated["primal"], stated["rounding"]), "rounding": rounding,
            "patterns": 0 if gates is None else len(gates),
            "scope": "AllPatterns" if gates is None else scope}


# --- A file ----------------------------------------------------------------------------------------------------------
def dense(layer):
    groups, weights, bias = layer
    rows, columns = weights.shape[0], weights.shape[1] // groups
    result = np.zeros((rows * groups, weights.shape[1]), weights.dtype)
    for g in range(groups):
        result[g * rows:(g + 1) * rows, g * columns:(g + 1) * columns] = weights[:, g * columns:(g + 1) * columns]
    return result, bias


def member(network, b, count, shared, bias):
    """Network b of those that a mean of `count` has side by side."""
    result = []
    for l, layer in enumerate(network[:-1]):
        W, own = dense(layer)
        m = W.shape[1] // count
        common = shared if l == 0 else 0
        n = (W.shape[0] - common) // count
        rows = np.r_[b * n:(b + 1) * n, W.shape[0] - common:W.shape[0]]
        result.append((1, W[rows, b * m:(b + 1) * m], own[b * m:(b + 1) * m]))
    W, _ = dense(network[-1])
    width = W.shape[0] // count
    return result + [(1, W[b * width:(b + 1) * width] * W.dtype.type(count), np.asarray(bias, W.dtype))]


class Chain:
    """Samples on their way through the grades of a model or of a member."""

    def __init__(self, meta, t, X, Y):
        self.t, self.link = t, meta["link"]
        self.f0 = self.f = (X - t["input.mean"]) / t["input.scale"]
        self.Y, self.total = Y, np.zeros_like(Y)

    def error(self):
        return self.Y.astype(float) - (self.total * self.t["output.scale"] + self.t["output.mean"]).astype(float)

    def residual(self):
        return (self.Y - self.t["output.mean"]) / self.t["output.scale"] - self.total

    def add(self, network):
        value, hidden = read_model.evaluate(network, self.f)
        self.total = self.total + value
        self.f = np.hstack([hidden, self.f0]) if self.link == "LastHiddenAndInput" else hidden


def rounded_otherwise(t, eps):
    """The same weights, each as it might have been rounded: how far predictions are known."""
    rng = np.random.default_rng(0)
    return {name: (a * (1 + eps * rng.uniform(-1, 1, a.shape))).astype(a.dtype) if ".layer." in name else a
            for name, a in t.items()}


def compare(stated, found):
    """Lists (name, stated, found, tolerance): what is another number than stated."""
    wrong = []
    for name, (value, tolerance) in found.items():
        if name not in stated:
            continue
        claim = stated[name]
        if isinstance(value, (str, int)) or claim is None or value is None:
            same = claim == value
        elif isinstance(value, tuple):
            same = value[0] - tolerance <= claim <= value[1] + tolerance
        else:
            same = abs(claim - value) <= tolerance
        if not same:
            wrong.append(f"{name}: stated {claim}, recomputed {value}")
    return wrong


def recompute(meta, t, X, Y):
    """-> what the file states, and what follows from the samples, with tolerances, by the same names."""
    number = t["input.mean"].dtype.type
    eps = float(np.finfo(number).eps)
    X, Y = X.astype(number), Y.astype(number)
    grades, report = json.loads(meta["grades"]), json.loads(meta["report"])
    rows, held = split(report, len(X))
    parts = [(X[rows], Y[rows])] + ([(X[held[0]], Y[held[0]])] if len(held) == 1 else [])
    folds = report.get("folds", 0)
    chain = Chain(meta, t, X[rows], Y[rows])
    validation = [Chain(meta, t, X[r], Y[r]) for r in held]
    moved, moved_chain = rounded_otherwise(t, eps), Chain(meta, t, X[rows], Y[rows])
    stated, found = {}, {}

    def add(name, claim, value, tolerance=0.0):
        stated[name], found[name] = claim, (value, tolerance)

    text = {key: meta[key] for key in sorted(meta) if key != "crc32"}
    rse = lambda error, target: float((error**2).sum() / (target.astype(float)**2).sum()) if error.any() else 0.0
    spread = lambda target: np.linalg.norm(target - t["output.mean"]) / np.linalg.norm(target.astype(float))

    def add_rse(name, claim, value, target):
        # Roots differ by rounding relative to the spread of the targets, and of a large mean.
        root = 64 * eps * spread(target) + eps + np.linalg.norm(slack) / np.linalg.norm(target.astype(float))
        add(name, claim, value, root * (2 * math.sqrt(value) + root))

    largest = lambda target: 256 * eps * abs(target - t["output.mean"]).max() + eps * abs(target).max() + 4 * abs(slack).max()
    held_y = np.vstack([Y[r] for r in held]) if held else None
    before, slack = chain.residual(), np.zeros(1)
    initial = [rse(chain.error(), Y[rows])]
    for k, grade in enumerate(grades, 1):
        line = report["grades"][k - 1]
        network = read_model.layers(meta, t, k)
        name = f"grade {k} "
        if line["certificate"] is not None:
            prefix = f"grade.{k}.witness."
            tensors = {key[len(prefix):]: value for key, value in t.items() if key.startswith(prefix)}
            f, y = chain.f.astype(float), before.astype(float)
            exact = [(g, W.astype(float), b.astype(float)) for g, W, b in network]
            c = certificate(grade["witness"], tensors, line["certificate"], f, y, exact, k == 1, eps)
            zero = ((y / grade["witness"]["unit"])**2).sum() / len(y) / 2
            unit = max(1e-7, 64 * eps * math.sqrt(zero / c["primal"])) * c["primal"]
            # A constraint of the size of the penalty, of residuals that are rounded relative to the targets.
            loose = unit + (0 if k == 1 else 64 * eps * c["primal"] * c["lambda_max"][1] / line["certificate"]["lambda"])
            for key, value in c.items():
                if key in line["certificate"]:
                    tolerance = {"primal": unit, "dual": loose, "relative_gap": 1e-12}
                    tolerance |= {"cone_violation": 1e-6, "scope": 0}
                    relative = (1e-6 if number == np.float64 else 1e-4) * abs(line["certificate"][key]) \
                        if key not in tolerance else tolerance[key]
                    add(name + key, line["certificate"][key], value, relative)
        chain.add(network)
        for b, part in enumerate(validation):
            if folds:
                shared = X.shape[1] if k == 1 or meta["link"] == "LastHiddenAndInput" else 0
                part.add(member(network, b, folds, shared, line["member_biases"][b]))
            else:
                part.add(network)
        error = chain.error()
        moved_chain.add(read_model.layers(meta, moved, k))
        slack = 16 * (moved_chain.error() - error)
        after = chain.residual()
        add_rse(name + "train RSE", grade["train_rse"], rse(error, Y[rows]), Y[rows])
        add_rse(name + "train RSE of the report", line["train_rse"], rse(error, Y[rows]), Y[rows])
        if line["train_max_error"] is not None:
            add(name + "train max error", line["train_max_error"], float(abs(error).max()), largest(Y[rows]))
        if line["pointwise_growth"] is not None:
            growth = float((abs(after) - abs(before)).max() / abs(before).max())
            start = abs((Y[rows] - t["output.mean"]) / t["output.scale"]).max()
            add(name + "growth", line["pointwise_growth"], growth, float((64 * eps * start + abs(slack / t["output.scale"]).max()) / abs(before).max()))
        initial.append(rse(error, Y[rows]))
        if held:
            errors = np.vstack([part.error() for part in validation])
            add_rse(name + "validation RSE", grade["validation_rse"], rse(errors, held_y), held_y)
            if line["validation_max_error"] is not None:
                add(name + "validation max error", line["validation_max_error"], float(abs(errors).max()), largest(held_y))
        else:
            add(name + "validation RSE", grade["validation_rse"], None)
        add(name + "parameters", line["parameters"], int(sum(W.size + b.size for _, W, b in network)))
        if "samples" in grade:
            add(name + "samples", grade["samples"], fingerprint(parts))
        before = after
    add("initial RSE", report["initial_rse"], initial[0], (64 * eps + eps) * (2 * math.sqrt(initial[0])))
    if "intervals" in meta:
        add_intervals(add, meta, t, eps, X, Y, held, folds, validation, abs(slack).max())
    if "self_test.outputs" in t and grades:
        outputs = read_model.predict(meta, t, t["self_test.inputs"])
        scale = abs(t["self_test.outputs"]).max()
        add("self-test", 0.0, float(abs(outputs - t["self_test.outputs"]).max() / scale), 1e-4 if eps > 1e-10 else 1e-10)
    return stated, found


def add_intervals(add, meta, t, eps, X, Y, held, folds, validation, slack):
    parts = json.loads(meta["intervals"])["parts"]
    errors = [abs(part.error()) for part in validation]
    inputs = [X[r] for r in held]
    if not folds:
        errors = [errors[0][k::len(parts)] for k in range(len(parts))]
        inputs = [inputs[0][k::len(parts)] for k in range(len(parts))]
    held_y = np.vstack([Y[r] for r in held])
    rounding = 256 * eps * abs(held_y - t["output.mean"]).max(0) + eps * abs(held_y).max(0) + slack
    z = [((x - t["input.mean"]) / t["input.scale"]) for x in inputs]
    gap = lambda a, b: float(abs(a - b).max())
    for k, part in enumerate(parts, 1):
        name = f"intervals {k} "
        add(name + "residuals", 0.0, gap(t[f"intervals.{k}.residuals"], np.sort(errors[k - 1], 0)), float(rounding.max()))
        if part["scale_layers"] is None:
            continue
        prefix = f"intervals.{k}.scale."
        network = [(1, t[f"{prefix}layer.{l}.weights"], t[f"{prefix}layer.{l}.bias"]) for l in range(1, part["scale_layers"] + 1)]
        g = [read_model.evaluate(network, f)[0] for f in z]
        others = np.vstack([g[l] for l in range(len(g)) if l != k - 1])
        add(name + "lower", 0.0, gap(t[prefix + "lower"], others.min(0)), 4096 * eps)
        add(name + "upper", 0.0, gap(t[prefix + "upper"], others.max(0)), 4096 * eps)
        sigma = np.exp(np.clip(g[k - 1], t[prefix + "lower"], t[prefix + "upper"]))
        scaled = np.sort(errors[k - 1] / sigma, 0)
        add(name + "scaled residuals", 0.0, gap(t[f"intervals.{k}.scaled_residuals"], scaled),
            float((rounding / sigma.min(0)).max() + 4096 * eps * scaled.max()))


def checksum_holds(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    metadata, crc = header.pop("__metadata__"), 0
    for key in sorted(metadata.keys() - {"crc32"}):
        crc = zlib.crc32(f"{key}\0{metadata[key]}\0".encode(), crc)
    for name, t in sorted(header.items()):
        crc = zlib.crc32(f"{name}\0{t['dtype']}\0{','.join(map(str, t['shape']))}\0".encode(), crc)
        crc = zlib.crc32(data[slice(*t["data_offsets"])], crc)
    return f"{crc:08x}" == metadata["crc32"]


def check(path, X, Y):
    """-> numbers compared, and what is wrong."""
    meta, t = read_model.read(path)
    stated, found = recompute(meta, t, X, Y)
    return stated, found, ([] if checksum_holds(path) else ["checksum"]) + compare(stated, found)


def of_command(command):
    rng = np.random.default_rng(1)
    compared = models = noticed = 0
    kinds = [(d, ["fit", "--trainer", trainer, *more.split()]) for d, trainer, more in [
        (3, "gradient", "--width 6 --epochs 5 --validation 0.25 --grades 2"),
        (3, "gradient", "--width 6 --epochs 5 --validation 0.25 --grades 2 --scalar float32"),
        (3, "sampled", "--width 12 --folds 3 --grades 3"),
        (2, "affine,sampled", "--width 12 --folds 4 --grades 3 --scalar float32 --link last-hidden-and-input"),
        (3, "convex", "--grades 2 --patterns 12"),
        (3, "convex", "--grades 2 --patterns 12 --scalar float32"),
        (3, "convex", "--grades 2 --patterns 12 --convex-problem relu"),
        (1, "convex", "--grades 2"),
        (2, "constructive", "--hats 8 --grades 3"),
        (2, "auto", "--grades 2 --seed 18446744073709551615"),
        (1, "auto", "--grades 2 --folds 0"),
        (0, "sampled", "--grades 2 --folds 0"),  # nothing to learn
        (0, "gradient", "--grades 1 --validation 0.25 --scalar float32"),
        (0, "affine", "--grades 1 --folds 3"),
        (0, "convex", "--grades 1 --folds 0 --link last-hidden-and-input")]]
    kinds += [(d, ["convex", "--lambda-ratio", "0.05", "--seed", "3", *more.split()]) for d, more in [
        (3, "--formulation gated --gate-count 20"),
        (3, "--formulation gated --gate-count 20 --output-bias --validation 0.2"),
        (3, "--formulation relu --gate-count 10"),
        (1, "--formulation relu --all-patterns"),
        (2, "--formulation relu --all-patterns"),
        (2, "--formulation gated --all-patterns"),
        (3, "--formulation gated --gate-count 20 --loss huber --delta 0.3"),
        (3, "--formulation gated --gate-count 20 --loss huber --delta 0.1 --output-bias --validation 0.2"),
        (3, "--formulation gated --gate-count 20 --loss quantile --level 0.8"),
        (2, "--formulation gated --gate-count 12 --loss quantile --level 0.35 --output-bias")]]
    with tempfile.TemporaryDirectory() as folder:
        name = lambda file: os.path.join(folder, file)
        for (d, arguments), offset in itertools.product(kinds, (0, 40)):
            n = 18 if "--all-patterns" in arguments and d == 2 else 60
            X = rng.standard_normal((n, max(d, 1)))
            Y = np.sin(2 * X[:, :1]) + X[:, -1:]**2 / 4 + 0.05 * rng.standard_normal((n, 1)) if d else np.zeros((n, 1))
            Y += offset
            np.save(name("X.npy"), X), np.save(name("Y.npy"), Y)
            samples = ["--input", name("X.npy"), "--target", name("Y.npy")]
            run = subprocess.run([command, *arguments, *samples, "--quiet", "--threads", "1", "--output", name("m")],
                                 capture_output=True, text=True)
            if run.returncode != 0:
                sys.exit(f"{arguments}: {run.stderr}")
            if subprocess.run([sys.executable, read_model.__file__, name("m")], stdout=subprocess.DEVNULL).returncode != 0:
                sys.exit(f"{arguments}: read_model.py fails")
            stated, found, wrong = check(name("m"), X, Y)
            if wrong:
                sys.exit(f"{arguments}, offset {offset}: " + "; ".join(wrong))
            models += 1
            compared += len(found)
            # What is stated is what is compared: another number is noticed.
            for key, value in stated.items():
                if value is None or isinstance(value, str):
                    other = "another"
                elif isinstance(value, int):
                    other = value + 1
                elif key.startswith(("intervals", "self-test")):  # the difference of whole arrays
                    other = 2 * found[key][1] + 1e-9
                else:
                    other = 1.5 * value + 1e-3 if value >= 0 else value / 2 + 1e-3
                if not compare({**stated, key: other}, found):
                    sys.exit(f"{arguments}: {key} = {other} instead of {value} is not noticed")
                noticed += 1
    print(f"{models} models, {compared} numbers recomputed, {noticed} changed ones noticed")


if __name__ == "__main__":
    if sys.argv[1] == "--command":
        of_command(sys.argv[2])
    else:
        stated, found, wrong = check(sys.argv[1], np.load(sys.argv[2]), np.load(sys.argv[3]))
        for key, (value, _) in found.items():
            print(f"{key:40} stated {stated[key]}, recomputed {value}")
        sys.exit("not what it states: " + "; ".join(wrong) if wrong else 0)
