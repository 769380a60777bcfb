"""Makes the models of operators that are several layers, or need the axes in the order of the model, with the values that ONNX
Runtime computes, as make.py does.

    pip install onnx onnxruntime numpy
    python operators.py

Made with onnx 1.23.2, onnxruntime 1.32.
"""

import os

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
RANDOM = np.random.default_rng(11)


def floats(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def model(name, x, nodes, constants, channels_last=False):
    """Nodes are (operator, inputs, output, attributes); the first input is x, the last output is y."""
    made = [helper.make_node(op, inputs, [output], output, **attributes) for op, inputs, output, attributes in nodes]
    tensors = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    port = lambda key, shape: helper.make_tensor_value_info(key, TensorProto.FLOAT, shape)
    inputs = [port("x", ["N", *x.shape[1:]])]

    def whole(outputs):
        graph = helper.make_graph(made, name, inputs, outputs, tensors)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)

    open_shape = whole([helper.make_empty_tensor_value_info("y")]).SerializeToString()
    y = onnxruntime.InferenceSession(open_shape, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    done = whole([port("y", ["N", *y.shape[1:]])])
    onnx.checker.check_model(done)
    onnx.save(done, f"{HERE}/{name}.onnx")
    last = lambda a: np.ascontiguousarray(np.moveaxis(a, 1, -1) if a.ndim == 4 and not channels_last else a)
    np.save(f"{HERE}/{name}.x.npy", last(x))
    np.save(f"{HERE}/{name}.y.npy", last(y))


# A model that normalises its own input, and moves its pixels.
model("moved", floats(2, 3, 9, 10), [
    ("Sub", ["x", "mean"], "centred", {}),
    ("Div", ["centred", "deviation"], "normal", {}),
    ("Pad", ["normal", "pads", "grey"], "padded", {}),
    ("MaxPool", ["padded"], "largest", {"kernel_shape": [2, 3], "dilations": [2, 2], "pads": [1, 0, 1, 0], "strides": [1, 2]}),
    ("LpPool", ["largest"], "lengths", {"kernel_shape": [2, 2], "pads": [0, 1, 0, 1]}),
    ("Resize", ["lengths", "", "", "sizes"], "resized", {"mode": "nearest", "axes": [2, 3]}),
    ("Gather", ["resized", "channels"], "chosen", {"axis": 1}),
    ("Slice", ["chosen", "starts", "ends", "axes", "steps"], "mirrored", {}),
    ("Add", ["mirrored", "places"], "placed", {}),
    ("Relu", ["placed"], "positive", {}),
    ("Conv", ["positive", "kernel"], "y", {}),
], {
    "mean": floats(1, 3, 1, 1), "deviation": np.abs(floats(1, 3, 1, 1)) + 1,
    "pads": np.array([0, 0, 1, 0, 0, 0, 0, 2]), "grey": np.float32(0.5), "sizes": np.array([7, 5]),
    "channels": np.array([2, 0, 0]), "starts": np.array([-1]), "ends": np.array([-100]), "axes": np.array([3]),
    "steps": np.array([-2]), "places": floats(3, 7, 3), "kernel": floats(2, 3, 1, 1),
})

# Flattened with its channels last: the rows of the matrix are in the model's order.
model("flattened", floats(2, 5, 6, 3), [
    ("Transpose", ["x"], "image", {"perm": [0, 3, 1, 2]}),
    ("Conv", ["image", "kernel"], "convolved", {"pads": [1, 1, 1, 1]}),
    ("Transpose", ["convolved"], "last", {"perm": [0, 2, 3, 1]}),
    ("Reshape", ["last", "shape"], "flat", {}),
    ("MatMul", ["flat", "matrix"], "product", {}),
    ("Add", ["product", "bias"], "y", {}),
], {"kernel": floats(4, 3, 3, 3), "shape": np.array([0, -1]), "matrix": floats(120, 3), "bias": floats(3)}, True)

# Along three axes.
model("volume", floats(2, 2, 5, 6, 7), [
    ("BatchNormalization", ["x", "scale", "shift", "mean", "variance"], "normal", {}),
    ("MaxPool", ["normal"], "largest", {"kernel_shape": [2, 3, 2], "strides": [1, 2, 2], "pads": [0, 1, 0, 1, 1, 0]}),
    ("AveragePool", ["largest"], "y", {"kernel_shape": [2, 2, 2]}),
], {"scale": floats(2), "shift": floats(2), "mean": floats(2), "variance": np.abs(floats(2)) + 0.5})

# Along a line, and repeated.
model("repeated", floats(2, 4, 6), [
    ("ConvTranspose", ["x", "kernel", "bias"], "longer", {"strides": [2], "pads": [1, 1], "output_padding": [1]}),
    ("InstanceNormalization", ["longer", "scale", "shift"], "normal", {}),
    ("Pad", ["normal", "pads"], "padded", {"mode": "edge"}),
    ("ReduceMean", ["padded", "time"], "mean", {}),
    ("Expand", ["mean", "shape"], "everywhere", {}),
    ("Concat", ["padded", "everywhere"], "both", {"axis": 1}),
    ("Tile", ["both", "times"], "tiled", {}),
    ("MatMul", ["tiled", "vector"], "y", {}),
], {
    "kernel": floats(4, 3, 4), "bias": floats(3), "scale": floats(3), "shift": floats(3),
    "pads": np.array([0, 1, 2, 0, 0, 1]), "time": np.array([2]), "shape": np.array([1, 4, 16]),
    "times": np.array([1, 1, 2]), "vector": floats(32),
})

# Two equal blocks, in each of which two branches read one value.
model("shared", floats(2, 4, 5, 5), [
    node for block, x in (("b0", "x"), ("b1", "b0.out")) for node in [
        ("Conv", [x, f"{block}.a.weight"], f"{block}.a", {}),
        ("Conv", [f"{block}.a", f"{block}.c.weight"], f"{block}.c", {}),
        ("Conv", [f"{block}.a", f"{block}.d.weight"], f"{block}.d", {}),
        ("Conv", [x, f"{block}.e.weight"], f"{block}.e", {}),
        ("Sum", [f"{block}.c", f"{block}.d", f"{block}.e"], "y" if block == "b1" else f"{block}.out", {}),
    ]
], {f"{block}.{part}.weight": floats(4, 4, 1, 1) for block in ("b0", "b1") for part in "acde"})
