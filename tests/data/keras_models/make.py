"""Writes models as Keras 3.15 stores them, and what Keras computes of them (needs keras, jax, h5py).

`branches.*`, `epsilon.h5`, `renamed.h5` and `like_a_pickle.safetensors` were written by Keras 3.5, Keras 2.2, Keras 3.15 and the
safetensors library; `torch.safetensors` holds an LSTM, a PReLU and a Conv1d under PyTorch's names, and its reference follows
the formulas of torch.nn.LSTM, PReLU and Conv1d in f64.
"""

import os

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from keras import layers as L
from safetensors.numpy import save_file

random = np.random.default_rng(11)


def normal(*shape):
    return random.normal(size=shape).astype(np.float32)


def fill(model):
    for weight in model.weights:
        values = normal(*weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else 0.5 * values)


def write(name, model, x, *kinds):
    fill(model)
    for kind in kinds:
        path = f"{name}{kind}"
        model.save_weights(path) if kind == ".weights.h5" else model.save(path)
    np.save(f"{name}_x.npy", x)
    np.save(f"{name}_y.npy", np.asarray(model(x)))


# Everything that a configuration says of layers that bind.
image = L.Input((9, 8, 3))
x = L.ZeroPadding2D(((1, 0), (1, 1)))(image)
x = L.Conv2D(4, 3, strides=2, activation="relu", name="stem")(x)
x = L.MaxPooling2D(2, strides=1, padding="same")(x)
x = L.DepthwiseConv2D(3, padding="same", dilation_rate=2, depth_multiplier=2, use_bias=False, name="deep")(x)
x = L.BatchNormalization(name="norm")(x)
x = L.ReLU(max_value=6.0)(x)
x = L.Dropout(0.5)(x)
x = L.PReLU(shared_axes=[1, 2], name="slopes")(x)
x = L.Conv2DTranspose(4, 2, strides=2, name="up")(x)
x = L.GroupNormalization(2, name="group")(x)
x = L.Activation("tanh")(x)
x = L.GlobalAveragePooling2D()(x)
x = L.Dense(5, activation="hard_silu", name="hidden")(x)
x = L.Dense(3, activation="softmax", name="out")(x)
write("full", keras.Model(image, x), normal(2, 9, 8, 3), ".h5", ".keras")

steps = L.Input((6, 3))
x = L.Bidirectional(L.LSTM(2, return_sequences=True), name="both")(steps)
x = L.LSTM(3, name="last")(x)
x = L.Dense(2, name="out")(x)
write("sequence", keras.Model(steps, x), normal(2, 6, 3), ".h5", ".keras", ".weights.h5")

image = L.Input((5, 5, 2))
x = L.SeparableConv2D(4, 3, strides=2, depth_multiplier=2, activation="relu", name="sep")(image)
x = L.Flatten()(x)
x = L.Dense(2, name="out")(x)
write("separable", keras.Model(image, x), normal(2, 5, 5, 2), ".h5", ".keras", ".weights.h5")

steps = L.Input((4, 3))
write("distributed", keras.Model(steps, L.TimeDistributed(L.Dense(2), name="td")(steps)), normal(2, 4, 3), ".h5", ".weights.h5")


@keras.saving.register_keras_serializable("tests")
class Block(L.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.conv = L.Conv2D(3, 1, name="inner")
        self.norm = L.BatchNormalization(name=f"{self.name}_norm", epsilon=1e-5)

    def call(self, x):
        return self.norm(self.conv(x))


@keras.saving.register_keras_serializable("tests")
class Net(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.stem = L.Conv2D(3, 3, name="stem")
        self.blocks = [Block(name="b1"), Block(name="b2")]
        self.pool = L.GlobalAveragePooling2D()
        self.head = L.Dense(2, name="head")

    def call(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.pool(x))


net = Net(name="net")
x = normal(2, 4, 4, 2)
net(x)
write("subclass", net, x, ".weights.h5", ".keras")

# A model that was made from VGG16: its own names of VGG16's first layers, and a head.
image = L.Input((32, 32, 3))
x = L.Conv2D(64, 3, padding="same", activation="relu", name="block1_conv1")(image)
x = L.Conv2D(64, 3, padding="same", activation="relu", name="block1_conv2")(x)
x = L.MaxPooling2D(2, name="block1_pool")(x)
x = L.GlobalAveragePooling2D()(x)
x = L.Dense(2, name="head")(x)
model = keras.Model(image, x)
for weight in model.weights:
    weight.assign(0.1 * normal(*weight.shape))
model.save("vgg_front.h5")
np.save("vgg_front_x.npy", normal(2, 32, 32, 3))
np.save("vgg_front_y.npy", np.asarray(model(np.load("vgg_front_x.npy"))))

# PyTorch.
UNITS, STEPS, FEATURES = 3, 8, 4
t = {
    "conv.weight": normal(5, FEATURES, 3),
    "conv.bias": normal(5),
    "act.weight": np.array([0.3], np.float32),
    "lstm.weight_ih_l0": normal(4 * UNITS, 5),
    "lstm.weight_hh_l0": normal(4 * UNITS, UNITS),
    "lstm.bias_ih_l0": normal(4 * UNITS),
    "lstm.bias_hh_l0": normal(4 * UNITS),
    "slopes.weight": normal(UNITS),
}
save_file(t, "torch.safetensors", {"format": "pt"})
e = {name: values.astype(np.float64) for name, values in t.items()}
x = normal(2, STEPS, FEATURES)
inside = x.astype(np.float64)
# (batch, steps, features) as (batch, features, steps), which torch.nn.Conv1d takes; written with steps second again.
conv = np.stack(
    [np.einsum("nkc,ock->no", inside[:, at : at + 3], e["conv.weight"]) + e["conv.bias"] for at in range(STEPS - 2)], 1
)
conv = np.where(conv > 0, conv, e["act.weight"] * conv)
h = c = np.zeros((2, UNITS))
sigmoid = lambda x: 1 / (1 + np.exp(-x))
for at in range(STEPS - 2):
    gates = conv[:, at] @ e["lstm.weight_ih_l0"].T + e["lstm.bias_ih_l0"] + h @ e["lstm.weight_hh_l0"].T + e["lstm.bias_hh_l0"]
    i, f, g, o = np.split(gates, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
np.save("torch_x.npy", x.reshape(2, 1, STEPS, FEATURES))
np.save("torch_y.npy", np.where(h > 0, h, e["slopes.weight"] * h).astype(np.float32))
