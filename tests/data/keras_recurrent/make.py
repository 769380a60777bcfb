"""Writes recurrent layers as Keras 2 and Keras 3 store them, and what Keras computes from them, in f64 (needs numpy and h5py).

The formulas are those of keras/src/layers/rnn/lstm.py and gru.py with their defaults: gates of an LSTM in the order
i, f, c, o, those of a GRU z, r, h with reset_after=True, sigmoid gates, states that begin at zero.
"""

import h5py
import numpy as np

random = np.random.default_rng(7)
FEATURES, STEPS, LSTM, GRU = 5, 7, 4, 3


def normal(*shape):
    return random.normal(size=shape).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


lstm = {"kernel": normal(FEATURES, 4 * LSTM), "recurrent_kernel": normal(LSTM, 4 * LSTM), "bias": normal(4 * LSTM)}
gru = {"kernel": normal(FEATURES, 3 * GRU), "recurrent_kernel": normal(GRU, 3 * GRU), "bias": normal(2, 3 * GRU)}
gru["bias"][1, 2 * GRU :] = 0
norm = {
    "beta": normal(LSTM + GRU),
    "moving_mean": normal(LSTM + GRU),
    "moving_variance": np.square(normal(LSTM + GRU)) + np.float32(0.5),
}
out = {"kernel": normal(LSTM + GRU, 2), "bias": normal(2)}


def exact(layer):
    return {name: values.astype(np.float64) for name, values in layer.items()}


def run_lstm(x, p):
    h = c = np.zeros((len(x), LSTM))
    for step in range(STEPS):
        i, f, g, o = np.split(x[:, step] @ p["kernel"] + h @ p["recurrent_kernel"] + p["bias"], 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


def run_gru(x, p):
    h = np.zeros((len(x), GRU))
    for step in range(STEPS):
        xz, xr, xh = np.split(x[:, step] @ p["kernel"] + p["bias"][0], 3, axis=1)
        hz, hr, hh = np.split(h @ p["recurrent_kernel"] + p["bias"][1], 3, axis=1)
        z, r = sigmoid(xz + hz), sigmoid(xr + hr)
        h = z * h + (1 - z) * np.tanh(xh + r * hh)
    return h


x = normal(3, STEPS, FEATURES)
both = np.concatenate([run_lstm(x.astype(np.float64), exact(lstm)), run_gru(x.astype(np.float64), exact(gru))], axis=1)
p = exact(norm)
y = (both - p["moving_mean"]) / np.sqrt(p["moving_variance"] + 1e-3) + p["beta"]
y = y @ exact(out)["kernel"] + exact(out)["bias"]
np.savez("reference.npz", x=x, y=y)

LAYERS = [("lstm", "lstm", "lstm_cell", lstm), ("gru", "gru", "gru_cell", gru), ("norm", "batch_normalization", "", norm), ("out", "dense", "", out)]


def keras2(path, layers):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([name for name, *_ in layers], dtype="S")
        file.attrs["backend"] = np.bytes_("tensorflow")
        file.attrs["keras_version"] = np.bytes_("2.15.0")
        for name, _, cell, weights in layers:
            group = file.create_group(name)
            paths = [f"{name}/{cell}/{key}:0" if cell else f"{name}/{key}:0" for key in weights]
            group.attrs["weight_names"] = np.array(paths, dtype="S")
            for key, values in zip(paths, weights.values()):
                group.create_dataset(key, data=values)


keras2("recurrent.h5", LAYERS)
with h5py.File("recurrent.weights.h5", "w") as file:
    for name, kind, cell, weights in LAYERS:
        own = file.create_group(f"layers/{kind}/vars")
        own.attrs["name"] = name
        inner = file.create_group(f"layers/{kind}/cell/vars") if cell else own
        if cell:
            inner.attrs["name"] = cell
        for index, values in enumerate(weights.values()):
            inner.create_dataset(str(index), data=values)

# What cannot be bound: a GRU whose reset gate comes first, and one whose state has a bias in the hidden gate.
before = dict(gru, bias=gru["bias"][0])
keras2("reset_before.h5", [("lstm", "lstm", "lstm_cell", lstm), ("gru", "gru", "gru_cell", before), LAYERS[2], LAYERS[3]])
biased = dict(gru, bias=np.ones((2, 3 * GRU), np.float32))
keras2("hidden_bias.h5", [("lstm", "lstm", "lstm_cell", lstm), ("gru", "gru", "gru_cell", biased), LAYERS[2], LAYERS[3]])
