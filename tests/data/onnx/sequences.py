"""Makes the models of sequences here, and those without a batch, with the values that PyTorch or ONNX Runtime computes.

    pip install torch onnx onnxscript onnxruntime numpy
    python sequences.py

Of each model NAME.onnx there are NAME.x.npy and NAME.y.npy, with the batch first. Made with torch 2.15, onnx 1.23.2,
onnxruntime 1.32.
"""

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from make import HERE, N, RANDOM, last


class Recurrent(nn.Module):
    """Both directions of two kinds of layers, then the last states of both."""

    def __init__(self):
        super().__init__()
        self.embed = nn.LSTM(3, 4, bidirectional=True, batch_first=True)
        self.plain = nn.GRU(8, 3, bias=False, batch_first=True)
        self.both = nn.GRU(3, 3, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        x = self.plain(self.embed(x)[0])[0]
        last = self.both(x)[1]
        return self.fc(torch.cat([last[-2], last[-1]], 1))


class TimeFirst(nn.Module):
    """Time before the batch, as PyTorch's layers have it by default, and the last state of the second of two layers."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 4, num_layers=2)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.rnn(x)[1][0][-1])


class Attentive(nn.Module):
    def __init__(self, bias=True):
        super().__init__()
        self.attn = nn.MultiheadAttention(8, 2, bias=bias, batch_first=True)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        y = self.norm(x)
        return x + self.attn(y, y, y, need_weights=False)[0]


class Line(nn.Module):
    """Convolutions and pools along a sequence whose channels are first."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn = nn.Conv1d(3, 6, 3, padding=1), nn.BatchNorm1d(6)
        self.conv2 = nn.Conv1d(6, 4, 3, stride=2, dilation=2, groups=2)
        self.fc = nn.Linear(4 * 3, 2)

    def forward(self, x):
        x = nn.functional.max_pool1d(torch.relu(self.bn(self.conv1(x))), 2)
        return torch.log_softmax(self.fc(torch.flatten(self.conv2(x), 1)), 1)


def export(name, model, x, batch=0, form="dynamo"):
    torch.manual_seed(3)
    for part in model.parameters():
        part.data.copy_(torch.randn(part.shape) * 0.4)
    for key, part in model.state_dict().items():
        if key.endswith("running_mean"):
            part.copy_(torch.randn(part.shape) * 0.2)
        if key.endswith("running_var"):
            part.copy_(torch.rand(part.shape) + 0.5)
    model.eval()
    file = f"{HERE}/{name}.onnx"
    if form == "torchscript":
        axes = {"x": {batch: "batch"}}
        torch.onnx.export(model, (x,), file, dynamo=False, opset_version=17, dynamic_axes=axes, input_names=["x"])
    else:
        shapes = ({batch: torch.export.Dim("batch", min=1, max=64)},)
        torch.onnx.export(model, (x,), file, dynamo=True, external_data=False, dynamic_shapes=shapes)
    kept = onnx.load(file)
    for node in kept.graph.node:
        del node.metadata_props[:]
    for value in list(kept.graph.value_info) + list(kept.graph.input) + list(kept.graph.output):
        del value.metadata_props[:]
    for part in (kept.graph.metadata_props, kept.metadata_props, kept.graph.value_info, kept.functions):
        del part[:]
    onnx.save(kept, file)
    with torch.no_grad():
        y = model(x).numpy()
    np.save(f"{HERE}/{name}.x.npy", np.ascontiguousarray(np.swapaxes(x.numpy(), 0, batch)))
    np.save(f"{HERE}/{name}.y.npy", y)


def by_hand(name, nodes, initializers, x, y_shape, opset=20, batch=True):
    info = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    open_batch = ["N", *x.shape[1:]] if batch else list(x.shape)
    graph = helper.make_graph(nodes, name, [info("x", open_batch)], [info("y", y_shape)], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9, producer_name="sequences.py")
    onnx.checker.check_model(model)
    onnx.save(model, f"{HERE}/{name}.onnx")
    session = onnxruntime.InferenceSession(f"{HERE}/{name}.onnx", providers=["CPUExecutionProvider"])
    y = session.run(None, {"x": x})[0]
    np.save(f"{HERE}/{name}.x.npy", last(x) if batch else x[None])
    np.save(f"{HERE}/{name}.y.npy", last(y) if batch else y[None])


def integers(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def unbatched():
    """All axes are those of one sample: the first is moved, reduced and broadcast over like others."""
    nodes = [
        N("Transpose", ["x"], ["a"], perm=[2, 0, 1]), N("ReduceMax", ["a", "first"], ["m"], keepdims=1),
        N("Sub", ["a", "m"], ["b"]), N("Exp", ["b"], ["c"]), N("ReduceSum", ["c", "first"], ["s"], keepdims=1),
        N("Div", ["c", "s"], ["d"]), N("Concat", ["d", "a"], ["e"], axis=0), N("Reshape", ["e", "shape"], ["f"]),
        N("ReduceLogSumExp", ["f", "second"], ["y"], keepdims=0),
    ]
    constants = [integers("first", 0), integers("shape", 4, -1, 2), integers("second", 0)]
    by_hand("unbatched", nodes, constants, RANDOM.standard_normal((3, 4, 5)).astype(np.float32), [15, 2], batch=False)


def functions():
    """Functions that are several layers, and normalisations over other axes than the last."""
    nodes = [
        N("Elu", ["x"], ["a"], alpha=0.5), N("Selu", ["a"], ["b"]), N("Celu", ["b"], ["c"], alpha=2.0), N("Softsign", ["c"], ["d"]),
        N("Mish", ["d"], ["e"]), N("LpNormalization", ["e"], ["f"], axis=2, p=1), N("Clip", ["f", "", "most"], ["g"]),
        N("Softmax", ["g"], ["h"], axis=2), N("ReduceL2", ["h", "last"], ["n"], keepdims=1), N("Div", ["h", "n"], ["i"]),
        N("LogSoftmax", ["i"], ["j"], axis=1), N("Neg", ["j"], ["k"]), N("Reciprocal", ["k"], ["y"]),
    ]
    constants = [integers("last", 3), numpy_helper.from_array(np.array(0.1, np.float32), "most")]
    by_hand("functions", nodes, constants, RANDOM.standard_normal((2, 3, 4, 5)).astype(np.float32), ["N", 3, 4, 5])


if __name__ == "__main__":
    torch.manual_seed(5)
    x = torch.randn(2, 5, 3)
    export("recurrent_torchscript", Recurrent(), x, form="torchscript")
    export("recurrent_dynamo", Recurrent(), x)
    export("time_first", TimeFirst(), torch.randn(5, 2, 3), batch=1)
    x = torch.randn(2, 5, 8)
    export("attention_torchscript", Attentive(), x, form="torchscript")
    export("attention_dynamo", Attentive(bias=False), x)
    export("encoder_dynamo", nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), 2), x)
    export("line", Line(), torch.randn(2, 3, 20))
    unbatched()
    functions()
