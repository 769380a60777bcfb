"""Runs the tests inside the package onnx by netc, and prints their results as the table of docs/onnx.md.

usage: NETC=target/release/netc python tests/conformance/report.py [KIND...]

KIND is light (real networks), node, simple, pytorch-converted or pytorch-operator; all of them without an argument.
"""

import collections
import glob
import os
import re
import sys

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

import netc_backend

KINDS = ["light", "pytorch-converted", "pytorch-operator", "simple", "node"]


def cases(kind):
    """Name, model, inputs and outputs of each test."""
    if kind == "light":
        folder = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light")
        for path in sorted(glob.glob(os.path.join(folder, "*.onnx"))):
            model = onnx.load(path)
            name = os.path.basename(path).removesuffix(".onnx")
            constants = {tensor.name for tensor in model.graph.initializer}
            value = next(value for value in model.graph.input if value.name not in constants)
            # As onnx's own runner does, which compares with these outputs.
            x = Runner.generate_dummy_data(value)
            yield name, model, [([x], [load(path.replace(".onnx", "_output_0.pb"))])], (2e-3, 1e-7)
        return
    for test in load_model_tests(kind=kind):
        model = test.model or onnx.load(os.path.join(test.model_dir, "model.onnx"))
        sets = test.data_sets or []
        for folder in sorted(glob.glob(os.path.join(test.model_dir or "", "test_data_set_*"))) if not sets else []:
            read = lambda what: [load(path) for path in sorted(glob.glob(os.path.join(folder, f"{what}_*.pb")), key=number)]
            sets.append((read("input"), read("output")))
        yield test.name, model, sets, (test.rtol, test.atol)


def number(path):
    return int(re.search(r"_(\d+)\.pb", path).group(1))


def load(path):
    with open(path, "rb") as file:
        return numpy_helper.to_array(onnx.TensorProto.FromString(file.read()))


def result(model, sets, tolerance):
    """passed, refused or wrong, and why."""
    try:
        rep = netc_backend.prepare(model)
        for inputs, outputs in sets:
            if not all(isinstance(array, np.ndarray) for array in [*inputs, *outputs]):
                return "refused", "takes sequences of tensors"
            found = rep.run(inputs)
            if len(found) != len(outputs):
                return "wrong", f"{len(found)} outputs, expected {len(outputs)}"
            for actual, expected in zip(found, outputs):
                if (actual.shape, actual.dtype) != (expected.shape, expected.dtype):
                    return "wrong", f"{actual.dtype}{actual.shape}, expected {expected.dtype}{expected.shape}"
                if not np.allclose(actual, expected, *tolerance, equal_nan=True):
                    return "wrong", f"differs by {np.max(np.abs(actual - expected)):.3g}"
        return "passed", ""
    except netc_backend.Refused as error:
        reasons = re.findall(r"^ *= (?!help: )(.*?)(?:: `|$)", str(error), re.MULTILINE)
        first = re.search(r"error\[(\w+)\]: (.*)", str(error))
        return "refused", reasons[0] if reasons else first.group(0) if first else str(error)[:200]
    except Exception as error:  # A fault of the program or of this script.
        return "wrong", f"{type(error).__name__}: {str(error)[:200]}"


def main():
    kinds = sys.argv[1:] or KINDS
    rows, notes = [], []
    for kind in kinds:
        counts, by_op = collections.Counter(), collections.defaultdict(list)
        for name, model, sets, tolerance in cases(kind):
            found, why = result(model, sets, tolerance)
            counts[found] += 1
            if found == "wrong" or os.environ.get("VERBOSE"):
                print(f"{kind} {name}: {found}: {why}", file=sys.stderr, flush=True)
            if found == "passed":
                op = model.graph.node[-1].op_type if kind != "light" else ""
                by_op[op].append(name.removeprefix("test_"))
        rows.append(f"| {kind} | {sum(counts.values())} | {counts['passed']} | {counts['refused']} | {counts['wrong']} |")
        if kind != "light":
            for op in sorted(by_op):
                notes.append(f"| {kind} | {op} | {', '.join(sorted(by_op[op]))} |")
    print(f"onnx {onnx.__version__}\n")
    print("| tests | number | passed | refused | wrong |\n|---|---:|---:|---:|---:|")
    print("\n".join(rows))
    print("\n| tests | operator | passed |\n|---|---|---|")
    print("\n".join(notes))


main()
