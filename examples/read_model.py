"""Reads a model file with NumPy alone, evaluates its self-test and compares: python3 read_model.py model.mgdl"""
import json
import sys

import numpy as np


def read(path):  # -> texts and arrays by their names
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    meta = header.pop("__metadata__")
    types = {"F32": "<f4", "F64": "<f8"}
    return meta, {name: np.frombuffer(data[slice(*e["data_offsets"])], types[e["dtype"]]).reshape(e["shape"])
                  for name, e in header.items()}


def layers(meta, t, k):  # of grade k: groups, weights and bias of each
    grade = json.loads(meta["grades"])[k - 1]
    groups = grade.get("groups", [1] * grade["layers"])
    return [(groups[l - 1], t[f"grade.{k}.layer.{l}.weights"], t[f"grade.{k}.layer.{l}.bias"])
            for l in range(1, grade["layers"] + 1)]


def evaluate(network, f):  # n x inputs -> n x outputs, and the last hidden values
    for groups, weights, bias in network:
        hidden = f
        value = np.hstack([x @ w for x, w in zip(np.hsplit(f, groups), np.hsplit(weights, groups))]) + bias
        f = np.maximum(value, 0)
    return value, hidden


def predict(meta, t, x):  # n x d -> K x n x c: of the first 1, ..., K grades
    f0 = f = (x - t["input.mean"]) / t["input.scale"]
    total, outputs = 0, []
    for k in range(1, len(json.loads(meta["grades"])) + 1):
        value, hidden = evaluate(layers(meta, t, k), f)
        total = total + value
        outputs.append(t["output.mean"] + t["output.scale"] * total)
        f = np.hstack([hidden, f0]) if meta["link"] == "LastHiddenAndInput" else hidden
    return np.array(outputs)


if __name__ == "__main__":
    meta, t = read(sys.argv[1])
    if not json.loads(meta["grades"]):
        print(f"{meta['scalar']}, no grades: the outputs are {t['output.mean']} everywhere")
        sys.exit(0)
    if "self_test.outputs" not in t:
        sys.exit("no self-test")
    expected = t["self_test.outputs"]
    difference = abs(predict(meta, t, t["self_test.inputs"]) - expected).max() / abs(expected).max()
    print(f"{meta['scalar']}, {len(expected)} grades, largest difference {difference:.1e} of the largest output")
    sys.exit(0 if difference < (1e-4 if meta["scalar"] == "float32" else 1e-10) else 1)
