"""Exports the nets of tests/onnx_export.rs and runs the models in ONNX Runtime and onnx's reference evaluator.

usage: NETC=target/release/netc python tests/data/onnx_export/make.py
Made with onnx 1.23.2 and onnxruntime 1.32.0.
"""

import os
import re
import subprocess
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(os.path.dirname(HERE))
NETC = os.path.abspath(os.environ.get("NETC", "target/release/netc"))

text = open(os.path.join(TESTS, "onnx_export.rs"), encoding="utf-8").read()
text = text.split("const MODELS")[1].split("\n];")[0]
nets = re.findall(r'"(\w+)",\s*"((?:[^"\\]|\\.)*)"', text, re.DOTALL)
rng = np.random.default_rng(1)
for name, net in nets:
    net = re.sub(r"\\\n\s*", "", net).replace('\\"', '"')
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "m.net"), "w", encoding="utf-8") as file:
            file.write(f"net m = {net}\n")
        weights = os.path.join(TESTS, "data", "torch_archives", "state.safetensors")
        more = ["--weights", f"m={weights}"] if name == "trained" else []
        path = os.path.join(HERE, f"{name}.onnx")
        subprocess.run([NETC, "export", "m.net", "--allow-untrained", *more, "-o", path], cwd=folder, check=True)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    (port,) = model.graph.input
    shape = [2] + [size.dim_value for size in port.type.tensor_type.shape.dim[1:]]
    x = rng.normal(size=shape).astype(np.float32)
    if name == "sequence":
        x = rng.integers(0, 10, shape).astype(np.float32)
    (y,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {port.name: x})
    try:
        (reference,) = ReferenceEvaluator(model).run(None, {port.name: x})
        told = f"ONNX Runtime and the reference differ by {np.max(np.abs(y - reference)):.2g}"
    except ValueError as error:
        # onnx 1.23.2 cannot evaluate a ConvTranspose in groups, and its LRN takes the batch for the channels.
        told = f"the reference evaluator fails: {error}"
    print(f"{name}: {os.path.getsize(path)} bytes; {told}")
    np.save(os.path.join(HERE, f"{name}.x.npy"), x)
    np.save(os.path.join(HERE, f"{name}.y.npy"), y)
