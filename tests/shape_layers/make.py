"""Writes reference.npz, and the weights files of tests/data/axis_order that begin with `sequence`, `transposed` and `keras`.

What PyTorch 2.15 computes in float64, with channels last: of each case the input x, the output y, and for layers without
parameters a gradient dy by the output with the gradient dx by the input. Weights are in netc's order of axes.
"""

from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
HERE = Path(__file__).parent
ARRAYS = {}


def last(x):
    """Channels last."""
    return x.movedim(1, -1).detach().numpy()


def add(name, x, compute, **weights):
    # In sixteenths, which float32 holds exactly.
    x = (x * 16).round() / 16
    x.requires_grad_(True)
    y = compute(x)
    ARRAYS[f"{name}.x"], ARRAYS[f"{name}.y"] = last(x), last(y)
    for role, value in weights.items():
        ARRAYS[f"{name}.{role}"] = value.detach().numpy()
    if not weights:
        dy = (torch.randn_like(y) * 16).round() / 16
        y.backward(dy)
        ARRAYS[f"{name}.dy"], ARRAYS[f"{name}.dx"] = last(dy), last(x.grad)


def image(height, width, channels, batch=1):
    return torch.randn(batch, channels, height, width)


def rounded(*shape):
    return (torch.randn(*shape) * 16).round() / 16


def resizes():
    shapes = {
        "up": (image(5, 7, 3), dict(size=(9, 16))),
        "down": (image(9, 8, 5), dict(size=(4, 3))),
        "same": (image(4, 6, 2), dict(size=(4, 9))),
        "one": (image(6, 5, 1), dict(size=(1, 1))),
        "grow": (image(1, 2, 3), dict(size=(3, 5))),
        "twice": (image(3, 5, 8), dict(scale_factor=2.0)),
        "fraction": (image(5, 7, 3), dict(scale_factor=1.5)),
        "shrink": (image(9, 7, 2), dict(scale_factor=0.6)),
        "sides": (image(4, 5, 4), dict(scale_factor=(2.0, 1.3))),
    }
    for key, (x, size) in shapes.items():
        add(f"nearest_{key}", x, lambda x: F.interpolate(x, mode="nearest", **size))
        for mode in ["bilinear", "bicubic"]:
            for align in [False, True]:
                name = f"{mode}_{key}" + ("_corners" if align else "")
                add(name, x, lambda x: F.interpolate(x, mode=mode, align_corners=align, **size))


def shapes():
    add("shuffle", image(2, 3, 12), lambda x: F.channel_shuffle(x, 3))
    add("pixel_shuffle", image(2, 3, 12), lambda x: F.pixel_shuffle(x, 2))
    add("pixel_unshuffle", image(4, 6, 3), lambda x: F.pixel_unshuffle(x, 2))

    # ONNX's definitions of DepthToSpace in its mode DCR and of SpaceToDepth.
    def depth_to_space(x, k):
        n, c, h, w = x.shape
        x = x.reshape(n, k, k, c // (k * k), h, w).permute(0, 3, 4, 1, 5, 2)
        return x.reshape(n, c // (k * k), h * k, w * k)

    def space_to_depth(x, k):
        n, c, h, w = x.shape
        x = x.reshape(n, c, h // k, k, w // k, k).permute(0, 3, 5, 1, 2, 4)
        return x.reshape(n, c * k * k, h // k, w // k)

    add("depth_to_space", image(2, 3, 18), lambda x: depth_to_space(x, 3))
    add("space_to_depth", image(4, 6, 3), lambda x: space_to_depth(x, 2))
    add("reflect", image(4, 5, 3), lambda x: F.pad(x, (2, 1, 3, 0), mode="reflect"))
    add("edge", image(3, 2, 3), lambda x: F.pad(x, (2, 4, 0, 5), mode="replicate"))
    add("zero", image(3, 2, 3), lambda x: F.pad(x, (1, 1, 1, 1)))
    add("crop", image(5, 6, 3), lambda x: x[:, :, 1:5, 2:3])


def transposed():
    def case(name, height, width, inputs, outputs, kernel, crop=None, **given):
        groups = given.get("groups", 1)
        weight, bias = rounded(inputs, outputs // groups, *kernel), rounded(outputs)

        def compute(x):
            y = F.conv_transpose2d(x, weight, bias, **given)
            return y if crop is None else crop(y)

        add(name, image(height, width, inputs), compute, weight=weight.permute(2, 3, 1, 0), bias=bias)

    case("transposed_valid", 4, 5, 3, 4, (3, 3), stride=2)
    case("transposed_padded", 4, 5, 3, 4, (4, 4), stride=2, padding=1)
    case("transposed_output_padding", 4, 5, 6, 17, (3, 3), stride=2, padding=1, output_padding=1)
    case("transposed_groups", 4, 5, 6, 4, (3, 2), stride=(1, 2), padding=(1, 0), groups=2)
    case("transposed_dilation", 4, 5, 3, 5, (3, 2), stride=(2, 3), dilation=(2, 3), output_padding=(1, 2))
    case("transposed_gaps", 3, 4, 2, 3, (2, 2), stride=3)
    case("transposed_depthwise", 4, 4, 6, 6, (4, 4), stride=2, padding=1, groups=6)
    case("transposed_sides", 4, 5, 3, 4, (3, 3), stride=2, crop=lambda y: y[:, :, 1:, : -1])
    # Keras' `same`: size times stride, the padding of the convolution that it transposes (TensorFlow's).
    case("transposed_same", 4, 5, 3, 4, (5, 5), stride=2, crop=lambda y: y[:, :, 1:9, 1:11])
    case("transposed_same_one", 4, 5, 3, 4, (4, 3), stride=1, crop=lambda y: y[:, :, 1:5, 1:6])


def sequences():
    def conv(name, time, inputs, outputs, size, pad=(0, 0), **given):
        groups = given.get("groups", 1)
        weight, bias = rounded(outputs, inputs // groups, size), rounded(outputs)

        def compute(x):
            return F.conv1d(F.pad(x, pad), weight, bias, **given)

        add(name, torch.randn(2, inputs, time), compute, weight=weight.permute(2, 1, 0), bias=bias)

    conv("conv1d", 11, 5, 8, 3)
    conv("conv1d_padded", 11, 5, 17, 3, padding=1, stride=2)
    conv("conv1d_dilation", 11, 6, 4, 3, dilation=2, groups=2)
    conv("conv1d_same", 12, 5, 4, 4, pad=(1, 2))
    conv("conv1d_depthwise", 11, 6, 12, 3, groups=6)
    conv("conv1d_wave", 100, 1, 8, 16, stride=4)
    x = torch.randn(2, 5, 11)
    add("max1d", x, lambda x: F.max_pool1d(x, 2))
    add("max1d_padded", x, lambda x: F.max_pool1d(x, 3, stride=2, padding=1))
    add("average1d", x, lambda x: F.avg_pool1d(x, 3, stride=2, padding=1, count_include_pad=False))
    add("average1d_ceil", x, lambda x: F.avg_pool1d(x, 2, ceil_mode=True))
    add("mean1d", x, lambda x: x.mean(2, keepdim=True))
    add("largest1d", x, lambda x: x.amax(2, keepdim=True))
    gamma, beta = rounded(6), rounded(6)
    y = torch.randn(2, 6, 7)
    add("group_norm1d", y, lambda x: F.group_norm(x, 3, gamma, beta), gamma=gamma, beta=beta)


def weights(case, module, x):
    folder = HERE.parent / "data" / "axis_order" / case
    folder.mkdir(exist_ok=True)
    for parameter in [*module.parameters(), *module.buffers()]:
        if parameter.is_floating_point():
            parameter.data = parameter.data.float().double()
    module.eval()
    np.save(folder / "x.npy", last(x).astype(np.float32))
    y = module(x)
    np.save(folder / "right.npy", (last(y) if y.ndim > 2 else y.detach().numpy()).astype(np.float32))
    return folder


def files():
    nn = torch.nn
    sequence = nn.Sequential()
    sequence.add_module("a", nn.Conv1d(5, 8, 3, padding=1))
    sequence.add_module("relu", nn.ReLU())
    sequence.add_module("pool", nn.MaxPool1d(2))
    sequence.add_module("b", nn.Conv1d(8, 8, 3, stride=2, groups=8))
    sequence.add_module("n", nn.BatchNorm1d(8))
    sequence.add_module("c", nn.Conv1d(8, 6, 2, dilation=2))
    sequence.add_module("flat", nn.Flatten())
    sequence.add_module("d", nn.Linear(6 * 2, 3))
    sequence.n.running_mean.normal_()
    sequence.n.running_var.uniform_(0.5, 2.0)
    x = torch.randn(2, 5, 20).float().double()
    folder = weights("sequence_convolutions_pytorch", sequence, x)
    save_file({k: v.float() for k, v in sequence.state_dict().items()}, folder / "m.safetensors", {"format": "pt"})

    transposed = nn.Sequential()
    transposed.add_module("a", nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1))
    transposed.add_module("relu", nn.ReLU())
    transposed.add_module("b", nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1, groups=2))
    transposed.add_module("c", nn.ConvTranspose2d(4, 2, 3, dilation=2))
    x = torch.randn(2, 4, 3, 4).float().double()
    folder = weights("transposed_convolutions_pytorch", transposed, x)
    save_file({k: v.float() for k, v in transposed.state_dict().items()}, folder / "m.safetensors", {"format": "pt"})

    # The order of axes that Keras documents: Conv1D (size, in, out), DepthwiseConv1D (size, in, multiplier), Conv2DTranspose
    # (height, width, out, in).
    keras = nn.Sequential()
    keras.add_module("a", nn.Conv1d(5, 6, 3))
    keras.add_module("b", nn.Conv1d(6, 12, 3, groups=6))
    keras.add_module("image", nn.Unflatten(2, (3, 4)))
    keras.add_module("c", nn.ConvTranspose2d(12, 3, 3, stride=2))
    x = torch.randn(2, 5, 16).float().double()
    folder = weights("keras_conv1d_and_transposed", keras, x)
    with h5py.File(folder / "m.h5", "w") as file:
        file.attrs["layer_names"] = [b"a", b"b", b"c"]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.15.0"
        depthwise = keras.b.weight.reshape(6, 2, 3).permute(2, 0, 1)
        kernels = {"a": keras.a.weight.permute(2, 1, 0), "b": depthwise, "c": keras.c.weight.permute(2, 3, 1, 0)}
        for layer, kernel in kernels.items():
            group = file.create_group(layer)
            name = "depthwise_kernel" if layer == "b" else "kernel"
            group.attrs["weight_names"] = [f"{layer}/{name}:0".encode(), f"{layer}/bias:0".encode()]
            group[f"{layer}/{name}:0"] = kernel.detach().numpy().astype(np.float32)
            group[f"{layer}/bias:0"] = keras.get_submodule(layer).bias.detach().numpy().astype(np.float32)


resizes()
shapes()
transposed()
sequences()
np.savez_compressed(HERE / "reference.npz", **{key: value.astype(np.float32) for key, value in ARRAYS.items()})
files()
