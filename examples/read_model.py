"""Reads a model file with NumPy alone, evaluates its self-test and compares: python3 read_model.py model.mgdl"""
import json
import sys

import numpy as np

with open(sys.argv[1], "rb") as file:
    header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    data = file.read()
meta = header.pop("__metadata__")
t = {name: np.frombuffer(data[slice(*e["data_offsets"])], {"F32": "<f4", "F64": "<f8"}[e["dtype"]]).reshape(e["shape"])
     for name, e in header.items()}


def predict(x):  # n x d -> K x n x c: of the first 1, ..., K grades
    f0 = f = (x - t["input.mean"]) / t["input.scale"]
    total, outputs = 0, []
    for k, grade in enumerate(json.loads(meta["grades"]), 1):
        for layer in range(1, grade["layers"] + 1):
            groups = grade.get("groups", [1] * grade["layers"])[layer - 1]
            blocks = np.hsplit(t[f"grade.{k}.layer.{layer}.weights"], groups)
            value = np.hstack([x @ w for x, w in zip(np.hsplit(f, groups), blocks)]) + t[f"grade.{k}.layer.{layer}.bias"]
            f = np.maximum(value, 0) if layer < grade["layers"] else f
        total = total + value
        outputs.append(t["output.mean"] + t["output.scale"] * total)
        f = np.hstack([f, f0]) if meta["link"] == "LastHiddenAndInput" else f
    return np.array(outputs)


expected = t["self_test.outputs"]
difference = abs(predict(t["self_test.inputs"]) - expected).max() / abs(expected).max()
print(f"{meta['scalar']}, {len(expected)} grades, largest difference {difference:.1e} of the largest output")
sys.exit(0 if difference < (1e-4 if meta["scalar"] == "float32" else 1e-10) else 1)
