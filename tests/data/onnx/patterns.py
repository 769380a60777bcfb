"""Makes models of what exporters write around padding, blocks of pixels, recurrent layers and attentions.

    python patterns.py

Made with torch 2.15, onnx 1.23.2, onnxruntime 1.32. ONNX Runtime's values were within 1e-6 of PyTorch's in float64.
"""

import os
import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.nn import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))


class Made(nn.Module):
    """Modules by name, and what they do with the input."""

    def __init__(self, forward, **modules):
        super().__init__()
        self.made = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.made(self, x)


def last(a):
    return np.ascontiguousarray(np.moveaxis(a, 1, -1) if a.ndim == 4 else a)


def make(name, shape, forward, dynamo=False, **modules):
    torch.manual_seed(sum(map(ord, name)))
    model = Made(forward, **modules).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    x, path = torch.randn(2, *shape), f"{HERE}/{name}.onnx"
    batch = {"dynamic_axes": {"x": {0: "batch"}}}
    settings = {"external_data": False, "opset_version": 18} if dynamo else {"opset_version": 17}
    names = {"input_names": ["x"], "output_names": ["y"]}
    with torch.no_grad():
        x0 = (x,) if dynamo else (x[:1],)
        dynamic = {"dynamic_shapes": {"x": {0: torch.export.Dim("batch")}}} if dynamo else batch
        torch.onnx.export(model, x0, path, dynamo=dynamo, **settings, **names, **dynamic)
        wanted = model.double()(x.double()).numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    y = np.concatenate([session.run(None, {"x": one.numpy()[None]})[0].reshape(1, *wanted.shape[1:]) for one in x])
    assert np.abs(y - wanted).max() < 1e-6 * max(1, np.abs(wanted).max()), name
    np.save(f"{HERE}/{name}.x.npy", last(x.numpy()))
    np.save(f"{HERE}/{name}.y.npy", last(y.astype(np.float32)))


def padded(self, x):
    x = self.a(F.pad(x, (0, 1, 2, 0)))
    x = self.b(F.pad(x, (1, 1, 1, 1), mode="reflect"))
    return self.c(F.pad(x.flatten(2), (3, 0)))


make("padded", (2, 5, 4), padded, a=nn.Conv2d(2, 3, 3), b=nn.Conv2d(3, 3, 3), c=nn.Conv1d(3, 2, 4))


def focus(self, x):
    parts = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
    return self.conv(torch.cat(parts, 1)).relu()


# YOLOv5's first layer: longer than the 64 parts in which values are taken.
make("focus", (2, 6, 130), focus, conv=nn.Conv2d(8, 3, 3, padding=1))


def reader(self, x):
    x = self.conv(x).relu().permute(3, 0, 1, 2).flatten(2)
    return self.fc(self.lstm(x)[0]).permute(1, 0, 2)


def lstm():
    return nn.LSTM(6, 4, bidirectional=True)


make("reader_torchscript", (1, 6, 8), reader, conv=nn.Conv2d(1, 3, 3, (2, 1)), lstm=lstm(), fc=nn.Linear(8, 3))
make("reader_dynamo", (1, 6, 8), reader, True, conv=nn.Conv2d(1, 3, 3, (2, 1)), lstm=lstm(), fc=nn.Linear(8, 3))
make("backwards", (7, 3), lambda self, x: self.gru(x.flip(1))[0].flip(1), gru=nn.GRU(3, 4, batch_first=True))


def states(self, x):
    states = self.gru(x)[1]
    return self.fc(torch.cat([states[-2], states[-1]], 1))


GRU = {"num_layers": 2, "batch_first": True, "bidirectional": True}
make("states_torchscript", (6, 3), states, gru=nn.GRU(3, 4, **GRU), fc=nn.Linear(8, 2))
make("states_dynamo", (6, 3), states, True, gru=nn.GRU(3, 4, **GRU), fc=nn.Linear(8, 2))


class Attention(nn.Module):
    def __init__(self, mask=None, names=("q_proj", "k_proj", "v_proj", "out_proj")):
        super().__init__()
        self.names, self.mask = names, mask
        for name in names:
            self.add_module(name, nn.Linear(8, 8))

    def forward(self, x):
        q, k, v = [getattr(self, name)(x).view(x.shape[0], 5, 2, 4).transpose(1, 2) for name in self.names[:3]]
        causal = self.mask is None
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask, is_causal=causal)
        return getattr(self, self.names[3])(y.transpose(1, 2).reshape(x.shape[0], 5, 8))


LATER = torch.ones(5, 5).triu(1).bool()
make("causal_torchscript", (5, 8), lambda self, x: self.attn(x), attn=Attention())
make("causal_dynamo", (5, 8), lambda self, x: self.attn(x), True, attn=Attention())
make("causal_mask", (5, 8), lambda self, x: self.attn(x), True, attn=Attention(~LATER))
make("causal_sum", (5, 8), lambda self, x: self.attn(x), attn=Attention(torch.zeros(5, 5).masked_fill(LATER, -torch.inf)))


def crossed(self, x):
    memory = self.memory(x)
    return self.attn(x, memory, memory)[0]


def attention():
    return nn.MultiheadAttention(8, 2, batch_first=True)


make("crossed_torchscript", (5, 8), crossed, memory=nn.Linear(8, 8), attn=attention())
make("crossed_dynamo", (5, 8), crossed, True, memory=nn.Linear(8, 8), attn=attention())


def summed(self, x):
    return (self.norm(self.conv(x)) + self.places).relu()


PLACES = nn.Parameter(torch.zeros(1, 4, 5))
make("summed", (3, 7), summed, conv=nn.Conv1d(3, 4, 3), norm=nn.GroupNorm(2, 4, affine=False), places=PLACES)


def gated(self, x):
    shares = self.gate(x).softmax(-1)
    return sum(shares[:, at : at + 1] * getattr(self, f"expert{at}")(x) for at in range(3))


make("gated", (6,), gated, gate=nn.Linear(6, 3), **{f"expert{at}": nn.Linear(6, 4) for at in range(3)})
