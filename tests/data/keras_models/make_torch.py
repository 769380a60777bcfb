"""Writes what PyTorch 2.15 and Keras 3.15 on it store of recurrent layers, of axes in other orders and in bfloat16, and what
they compute, in f64 where PyTorch does (needs torch, keras, safetensors)."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
from keras import layers as L
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file
from torch import nn

torch.manual_seed(5)
random = np.random.default_rng(5)


def normal(*shape):
    return random.normal(size=shape).astype(np.float32)


# PyTorch's GRU has a bias of the state in each gate; without those of the hidden gate it is NeuPy's.
class Recurrent(nn.Module):
    def __init__(self, bias):
        super().__init__()
        self.gru = nn.GRU(4, 3, batch_first=True, bias=bias, bidirectional=True)
        self.lstm = nn.LSTM(6, 3, batch_first=True, bias=bias)

    def forward(self, x):
        return self.lstm(self.gru(x)[0])[0][:, -1]


x = torch.from_numpy(normal(2, 6, 4))
for name, bias in [("torch_gru", True), ("torch_gru_bare", False)]:
    model = Recurrent(bias)
    if bias:
        save_file(model.state_dict(), "torch_gru_hidden_bias.safetensors", {"format": "pt"})
        for end in ["", "_reverse"]:
            getattr(model.gru, f"bias_hh_l0{end}").data[6:] = 0
    save_file(model.state_dict(), f"{name}.safetensors", {"format": "pt"})
    np.save(f"{name}_x.npy", x.numpy())
    np.save(f"{name}_y.npy", model.double()(x.double()).detach().numpy().astype(np.float32))


def fill(model):
    for weight in model.weights:
        values = 0.5 * normal(*weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return model


def computed(model, x):
    return model(x).detach().float().numpy()


# A GRU of Keras in safetensors: the same names for both forms, told apart by the biases.
for after in [True, False]:
    cell = fill(keras.Sequential([L.Input((6, 4)), L.GRU(3, reset_after=after, name="gru")])).layers[0].cell
    names = {"kernel": cell.kernel, "recurrent_kernel": cell.recurrent_kernel, "bias": cell.bias}
    tensors = {f"gru.{name}": value.value.detach().numpy().copy() for name, value in names.items()}
    if after:
        tensors["gru.bias"][1, 6:] = 0
        cell.bias.assign(tensors["gru.bias"])
        layer = keras.Sequential([L.Input((6, 4)), L.GRU(3)])
        layer.set_weights([tensors[f"gru.{name}"] for name in names])
        np.save("keras_gru_y.npy", computed(layer, x.numpy()))
        np.save("keras_gru_x.npy", x.numpy())
    save_numpy(tensors, f"keras_gru_{'after' if after else 'before'}.safetensors", {"format": "keras"})

# Axes in another order, where only a layer without weights, or an argument, says so.
dense = L.Dense(2, name="out")
first = "channels_first"
fill(keras.Sequential([L.Input((3, 4, 4)), L.MaxPooling2D(2, data_format=first), L.Flatten(), dense])).save("first_pool.keras")
dense = L.Dense(2, name="out")
fill(keras.Sequential([L.Input((4, 4, 3)), L.Permute((3, 1, 2)), L.Flatten(), dense])).save("permuted.keras")
norm = L.BatchNormalization(axis=1, name="norm")
fill(keras.Sequential([L.Input((3, 4, 3)), norm, L.GlobalAveragePooling2D(), L.Dense(2, name="out")])).save("norm_axis.keras")

# bfloat16, which has no type in HDF5; in `.h5` nothing says what the bytes are.
layers = lambda kind: [L.Input((4, 4, 2)), L.Conv2D(3, 3, name="conv", dtype=kind), L.GlobalAveragePooling2D(dtype=kind), L.Dense(2, name="out", dtype=kind)]
half = fill(keras.Sequential(layers("bfloat16")))
for kind in [".keras", ".weights.h5", ".h5"]:
    half.save_weights(f"bfloat16{kind}") if kind == ".weights.h5" else half.save(f"bfloat16{kind}")
single = keras.Sequential(layers("float32"))
single.set_weights([weight.value.detach().float().numpy() for weight in half.weights])
image = normal(2, 4, 4, 2)
np.save("bfloat16_x.npy", image)
np.save("bfloat16_y.npy", computed(single, image))
