"""Makes the models here with the values that ONNX Runtime computes.

    pip install torch onnx onnxscript onnxruntime numpy
    python make.py

Of each model NAME.onnx there are NAME.x.npy, its input with channels last, and NAME.y.npy, its output with channels last.
Made with torch 2.15, onnx 1.23.2, onnxruntime 1.32.
"""

import os
import shutil
import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
RANDOM = np.random.default_rng(7)


def last(a):
    return np.ascontiguousarray(np.moveaxis(a, 1, -1) if a.ndim == 4 else a)


def values(name, x, feed=None):
    """Keeps the output for x, which is in the model's order."""
    session = onnxruntime.InferenceSession(f"{HERE}/{name}.onnx", providers=["CPUExecutionProvider"])
    y = session.run(None, {session.get_inputs()[0].name: x if feed is None else feed})[0]
    np.save(f"{HERE}/{name}.x.npy", last(x))
    np.save(f"{HERE}/{name}.y.npy", last(y))


# --- PyTorch ----------------------------------------------------------------------------------------------------------


class Block(nn.Module):
    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.relu = nn.ReLU()
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(Block(4, 4, 1), Block(4, 4, 1))
        self.layer2 = nn.Sequential(Block(4, 5, 2), Block(5, 5, 1), Block(5, 5, 1))
        self.layer3 = nn.Sequential(Block(5, 6, 2), Block(6, 6, 1), Block(6, 6, 1), Block(6, 6, 1))
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


class Mobile(nn.Module):
    """Swish, hard swish written out, squeeze-and-excitation, depthwise filters, a flatten and two dense layers."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.filter = nn.Conv2d(8, 8, 5, 1, 2, groups=8)
        self.squeeze = nn.Conv2d(8, 2, 1)
        self.excite = nn.Conv2d(2, 8, 1)
        self.project = nn.Conv2d(8, 6, 1)
        self.hidden = nn.Linear(6 * 4 * 4, 10)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(10, 4)

    def forward(self, x):
        x = nn.functional.silu(self.stem(x))
        x = self.filter(x)
        x = x * (torch.clamp(x + 3, 0, 6) / 6)
        gate = x.mean((2, 3), keepdim=True)
        x = x * torch.sigmoid(self.excite(torch.relu(self.squeeze(gate))))
        x = nn.functional.max_pool2d(nn.functional.relu6(self.project(x)), 2)
        x = x.view(x.size(0), -1)
        return torch.softmax(self.head(self.drop(torch.relu(self.hidden(x)))), 1)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(1, 4, 3, 1, 1), nn.Conv2d(4, 6, 3, 1, 1)
        self.middle = nn.Conv2d(6, 6, 3, 1, 1)
        self.up2, self.up1 = nn.Conv2d(12, 4, 3, 1, 1), nn.Conv2d(8, 2, 3, 1, 1)
        self.cross = nn.Conv2d(4, 6, 1)

    def forward(self, x):
        a = torch.relu(self.down1(x))
        b = torch.relu(self.down2(nn.functional.max_pool2d(a, 2)))
        c = torch.relu(self.middle(nn.functional.max_pool2d(b, 2)))
        up = lambda x: nn.functional.interpolate(x, scale_factor=2)
        d = torch.relu(self.up2(torch.cat([b, up(c)], 1)))
        # A path that crosses the others.
        e = self.cross(nn.functional.avg_pool2d(a, 3, 2, 1)) + b
        return self.up1(torch.cat([a, up(d)], 1)) * up(e[:, :2])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, 1, 1)
        self.fc = nn.Linear(4 * 4 * 4, 6)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = nn.functional.max_pool2d(x + torch.relu(self.conv2(x)), 2)
        return self.fc(torch.flatten(x, 1))


class Twins(nn.Module):
    """An encoder of two images, which stand one behind the other, and a layer that is applied three times."""

    def __init__(self):
        super().__init__()
        self.twin, self.refine, self.head = Encoder(), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x):
        x = torch.abs(self.twin(x[:, :3]) - self.twin(x[:, 3:]))
        for _ in range(3):
            x = torch.tanh(self.refine(x))
        return self.head(x)


def export(name, model, size, form):
    torch.manual_seed(3)
    model.eval()
    for key, part in model.state_dict().items():
        if key.endswith("running_mean") or "bn" in key and key.endswith("bias"):
            part.copy_(torch.randn(part.shape) * 0.2)
        if key.endswith("running_var") or "bn" in key and key.endswith("weight"):
            part.copy_(torch.rand(part.shape) + 0.5)
    x = torch.randn(2, *size)
    file = f"{HERE}/{name}.onnx"
    axes = {"x": {0: "batch"}, "y": {0: "batch"}}
    names = dict(input_names=["x"], output_names=["y"])
    if form == "torchscript":
        torch.onnx.export(model, (x,), file, dynamo=False, opset_version=17, dynamic_axes=axes, **names)
    elif form == "unfolded":
        torch.onnx.export(model, (x,), file, dynamo=False, opset_version=12, dynamic_axes=axes, do_constant_folding=False,
                          training=torch.onnx.TrainingMode.PRESERVE, **names)
    else:
        shapes = {"x": {0: torch.export.Dim("batch")}}
        torch.onnx.export(model, (x,), file, dynamo=True, external_data=False, dynamic_shapes=shapes, **names)
        # Where the nodes come from is told by their stack traces, which are most of the file.
        kept = onnx.load(file)
        for node in kept.graph.node:
            del node.metadata_props[:]
        for value in list(kept.graph.value_info) + list(kept.graph.input) + list(kept.graph.output):
            del value.metadata_props[:]
        del kept.graph.metadata_props[:]
        del kept.metadata_props[:]
        del kept.graph.value_info[:]
        onnx.save(kept, file)
    values(name, x.numpy())
    return x


# --- by hand ----------------------------------------------------------------------------------------------------------


def tensor(name, *shape, scale=0.5, shift=0.0, kind=np.float32):
    return numpy_helper.from_array((RANDOM.standard_normal(shape) * scale + shift).astype(kind), name)


def save(name, nodes, initializers, x, y, opset, **more):
    info = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, name, [info("x", x)], [info("y", y)], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, producer_name="make.py")
    for key, value in more.get("metadata", {}).items():
        model.metadata_props.add(key=key, value=value)
    if more.get("check", True):
        onnx.checker.check_model(model)
    onnx.save(model, f"{HERE}/{name}.onnx", **more.get("save", {}))


N = helper.make_node


def caffe():
    """A model as Caffe 2 converts it: batch normalisation with a scale of its own, weights filled with a constant, LRN."""
    positive = [tensor("conv1/bn_var_0", 6, scale=0.1, shift=1.0)]
    initializers = positive + [
        tensor("conv1_w_0", 6, 3, 3, 3), tensor("conv1/bn_scale_0", 6), tensor("conv1/bn_bias_0", 6),
        tensor("conv1/bn_mean_0", 6), tensor("conv1/sc_w_0", 6), tensor("conv1/sc_b_0", 6), tensor("conv2_b_0", 4),
        numpy_helper.from_array(np.array([4, 3, 3, 3], np.int64), "conv2_w_0__SHAPE"),
        tensor("fc_w_0", 5, 4 * 2 * 2), tensor("fc_b_0", 5),
        numpy_helper.from_array(np.array([1, 16], np.int64), "shape"),
    ]
    value = numpy_helper.from_array(np.array([0.05], np.float32))
    nodes = [
        N("ConstantOfShape", ["conv2_w_0__SHAPE"], ["conv2_w_0"], value=value),
        N("Conv", ["x", "conv1_w_0"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        N("BatchNormalization", ["a", "conv1/bn_scale_0", "conv1/bn_bias_0", "conv1/bn_mean_0", "conv1/bn_var_0"], ["b"], epsilon=0.001),
        N("Unsqueeze", ["conv1/sc_w_0"], ["w"], axes=[1, 2]), N("Mul", ["b", "w"], ["c"]),
        N("Unsqueeze", ["conv1/sc_b_0"], ["s"], axes=[1, 2]), N("Add", ["c", "s"], ["d"]),
        N("Relu", ["d"], ["e"]), N("LRN", ["e"], ["f"], size=5, alpha=0.0005, beta=0.75, bias=1.0),
        N("MaxPool", ["f"], ["g"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]),
        N("Conv", ["g", "conv2_w_0", "conv2_b_0"], ["h"], kernel_shape=[3, 3], group=2),
        N("AveragePool", ["h"], ["i"], kernel_shape=[2, 2], strides=[1, 1], pads=[1, 1, 0, 0], count_include_pad=1),
        N("Reshape", ["i", "shape"], ["j"]), N("Dropout", ["j"], ["k", ""]), N("Gemm", ["k", "fc_w_0", "fc_b_0"], ["l"], transB=1),
        N("Softmax", ["l"], ["y"]),
    ]
    save("caffe", nodes, initializers, [1, 3, 8, 8], [1, 5], 9, check=False, metadata={"labels": '["a", "b", "c", "d", "e"]'})
    values("caffe", RANDOM.standard_normal((1, 3, 8, 8)).astype(np.float32))


def tensorflow():
    """A model as tf2onnx converts it: channels last outside, padding by its name, products with matrices and sums."""
    initializers = [
        tensor("conv/Conv2D_weights_fused_bn", 4, 3, 3, 3), tensor("conv/Conv2D_bias_fused_bn", 4),
        tensor("dw/depthwise_weights", 4, 1, 3, 3), tensor("dense/MatMul/ReadVariableOp:0", 4, 6), tensor("dense/BiasAdd/ReadVariableOp:0", 6),
        tensor("out/MatMul/ReadVariableOp:0", 6, 3), tensor("out/BiasAdd/ReadVariableOp:0", 3), tensor("pads_value", scale=0.0),
        numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64), "pads"),
        numpy_helper.from_array(np.array([-1, 4], np.int64), "shape"),
    ]
    nodes = [
        N("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2]),
        N("Conv", ["a", "conv/Conv2D_weights_fused_bn", "conv/Conv2D_bias_fused_bn"], ["b"], strides=[2, 2], auto_pad="SAME_UPPER"),
        N("Clip", ["b", "low", "high"], ["c"]),
        N("Pad", ["c", "pads", "pads_value"], ["d"]),
        N("Conv", ["d", "dw/depthwise_weights"], ["e"], group=4, strides=[2, 2]),
        N("Transpose", ["e"], ["f"], perm=[0, 2, 3, 1]), N("Relu", ["f"], ["g"]),
        N("ReduceMean", ["g"], ["h"], axes=[1, 2], keepdims=0), N("Reshape", ["h", "shape"], ["i"]),
        N("MatMul", ["i", "dense/MatMul/ReadVariableOp:0"], ["j"]), N("Add", ["j", "dense/BiasAdd/ReadVariableOp:0"], ["k"]),
        N("Tanh", ["k"], ["l"]), N("MatMul", ["l", "out/MatMul/ReadVariableOp:0"], ["m"]),
        N("Add", ["out/BiasAdd/ReadVariableOp:0", "m"], ["y"]),
    ]
    bounds = [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in (("low", 0.0), ("high", 6.0))]
    save("tensorflow", nodes, initializers + bounds, ["N", 9, 9, 3], ["N", 3], 13)
    x = RANDOM.standard_normal((2, 9, 9, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(f"{HERE}/tensorflow.onnx", providers=["CPUExecutionProvider"])
    np.save(f"{HERE}/tensorflow.x.npy", x)
    np.save(f"{HERE}/tensorflow.y.npy", session.run(None, {"x": x})[0])


def storage():
    """Every form in which a tensor may be stored: other types, lists, another file."""
    w = RANDOM.standard_normal((6, 8)).astype(np.float32)
    listed = helper.make_tensor("a.weight", TensorProto.FLOAT, [6, 8], w.flatten().tolist())
    double = numpy_helper.from_array(RANDOM.standard_normal(6).astype(np.float64), "a.bias")
    half = numpy_helper.from_array(RANDOM.standard_normal((4, 6)).astype(np.float16), "b.weight")
    bits = RANDOM.standard_normal(4).astype(np.float16)
    half_listed = helper.make_tensor("b.bias", TensorProto.FLOAT16, [4], bits.tolist())
    nodes = [
        N("Cast", ["a.bias"], ["ab"], to=1), N("Cast", ["b.weight"], ["bw"], to=1), N("Cast", ["b.bias"], ["bb"], to=1),
        N("Gemm", ["x", "a.weight", "ab"], ["h"], transB=1), N("Sigmoid", ["h"], ["i"]), N("Gemm", ["i", "bw", "bb"], ["y"], transB=1),
    ]
    save("storage", nodes, [listed, double, half, half_listed], ["N", 8], ["N", 4], 13)
    values("storage", RANDOM.standard_normal((3, 8)).astype(np.float32))
    weights = [tensor("a.weight", 6, 8), tensor("a.bias", 6)]
    nodes = [N("Gemm", ["x", "a.weight", "a.bias"], ["y"], transB=1)]
    save("external", nodes, weights, ["N", 8], ["N", 6], 13,
         save=dict(save_as_external_data=True, location="external.data", size_threshold=0))
    values("external", RANDOM.standard_normal((3, 8)).astype(np.float32))


def unsupported():
    nodes = [
        N("Conv", ["x", "w"], ["a"], name="stem"), N("Erf", ["a"], ["b"], name="first erf"), N("Erf", ["b"], ["c"], name="second erf"),
        N("Conv", ["c", "volume"], ["d"], name="conv3d"), N("Frobnicate", ["d"], ["e"], name="own", domain="com.example"),
        N("ReduceMean", ["e"], ["y"], name="mean", axes=[1]),
    ]
    save("unsupported", nodes, [tensor("w", 4, 3, 3, 3), tensor("volume", 4, 4, 1, 1, 1)], ["N", 3, 8, 8], ["N", 1, 6, 6], 13, check=False)

    # A photo of any size; the diagnostics have both.
    nodes = [N("Conv", ["x", "w"], ["a"], name="stem"), N("GlobalAveragePool", ["a"], ["y"], name="pool")]
    save("open_size", nodes, [tensor("w", 4, 3, 3, 3)], ["N", 3, "height", "width"], ["N", 4, 1, 1], 13)
    for name in ("unsupported", "open_size"):
        shutil.copy(f"{HERE}/{name}.onnx", f"{HERE}/../../diagnostics/files")


def transposed():
    nodes = [N("Relu", ["x"], ["r"], name="act"), N("Transpose", ["r"], ["y"], perm=[0, 2, 1])]
    save("transposed_output", nodes, [], ["N", 3, 4], ["N", 4, 3], 17)


if __name__ == "__main__":
    torch.manual_seed(3)
    resnet = ResNet()
    export("resnet_torchscript", resnet, (3, 16, 16), "torchscript")
    export("resnet_unfolded", resnet, (3, 16, 16), "unfolded")
    export("resnet_dynamo", resnet, (3, 16, 16), "dynamo")
    mobile = Mobile()
    export("mobile_torchscript", mobile, (3, 16, 16), "torchscript")
    export("mobile_dynamo", mobile, (3, 16, 16), "dynamo")
    export("unet_torchscript", UNet(), (1, 8, 8), "torchscript")
    twins = Twins()
    export("twins_torchscript", twins, (6, 8, 8), "torchscript")
    export("twins_dynamo", twins, (6, 8, 8), "dynamo")
    caffe()
    tensorflow()
    storage()
    unsupported()
    transposed()
