"""Writes small models as Keras 3.15 stores them, and what Keras computes of them (needs keras, torch, h5py). The archives are
compressed, which Keras does not do, to keep them small."""

import os
import zipfile

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
from keras import layers as L
from keras import ops

random = np.random.default_rng(23)


def normal(*shape):
    return random.normal(size=shape).astype(np.float32)


def fill(model):
    for weight in model.weights:
        if "seed" in weight.path or "count" in weight.path or "normalization_1" in weight.path:
            continue
        values = normal(*weight.shape)
        positive = "variance" in weight.path
        weight.assign(np.abs(values) + 0.5 if positive else 0.4 * values)


def packed(path):
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


def write(name, model, inputs, *kinds):
    fill(model)
    for kind in kinds or (".keras",):
        model.save(name + kind)
        if kind == ".keras":
            packed(name + kind)
    inputs = inputs if isinstance(inputs, list) else [inputs]
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    for at, x in enumerate(inputs):
        np.save(f"{name}.x{at}.npy", x)
    for at, y in enumerate(outputs):
        np.save(f"{name}.y{at}.npy", y.detach().numpy())


def conv_bn(x, filters, size, name, stride=1, activation="relu6"):
    x = L.Conv2D(filters, size, strides=stride, padding="same", use_bias=False, name=name)(x)
    x = L.BatchNormalization(name=name + "_bn", momentum=0.999, epsilon=1e-3)(x)
    return L.ReLU(6.0)(x) if activation == "relu6" else L.Activation(activation)(x)


def bottleneck(x, filters, name, stride=1):
    inputs = x
    x = conv_bn(x, 12, 1, name + "_expand", activation="hard_silu")
    if stride == 2:
        x = L.ZeroPadding2D(((0, 1), (0, 1)))(x)
    x = L.DepthwiseConv2D(3, strides=stride, padding="same" if stride == 1 else "valid", use_bias=False, name=name + "_dw")(x)
    x = L.BatchNormalization(name=name + "_dw_bn")(x)
    x = L.Activation("swish")(x)
    gate = L.GlobalAveragePooling2D(keepdims=True)(x)
    gate = L.Conv2D(4, 1, activation="relu", name=name + "_squeeze")(gate)
    gate = L.Conv2D(12, 1, name=name + "_excite")(gate)
    gate = L.ReLU(6.0)(gate + 3.0) * (1.0 / 6.0)
    x = L.Multiply()([x, gate])
    x = L.Conv2D(filters, 1, use_bias=False, name=name + "_project")(x)
    x = L.BatchNormalization(name=name + "_project_bn")(x)
    if stride == 1:
        x = L.Dropout(0.2, noise_shape=(None, 1, 1, 1), name=name + "_drop")(x)
        x = L.Add()([inputs, x])
    return x


# A mobile net: repeated blocks with squeeze-and-excitation and arithmetic of hard functions.
image = L.Input((16, 16, 3))
x = L.Rescaling(1 / 127.5, offset=-1.0)(image)
x = conv_bn(x, 8, 3, "stem", stride=2)
for at in range(1, 4):
    x = bottleneck(x, 8, f"block{at}")
x = bottleneck(x, 8, "block4", stride=2)
x = bottleneck(x, 8, "block5")
x = L.GlobalAveragePooling2D()(x)
x = L.Reshape((1, 1, 8))(x)
x = L.Dropout(0.3)(x)
x = L.Conv2D(5, 1, name="logits")(x)
x = L.Reshape((5,))(x)
x = L.Activation("softmax")(x)
write("mobile", keras.Model(image, x, name="mobile"), (random.uniform(0, 255, (2, 16, 16, 3))).astype(np.float32))

# Two inputs and two outputs, a shared layer, nested models: once, twice, and with names that others have too.
left, right = L.Input((6,), name="left"), L.Input((6,), name="right")
embed = keras.Sequential([L.Input((6,)), L.Dense(5, activation="relu", name="inner"), L.BatchNormalization(name="norm")], name="embed")
head = keras.Sequential([L.Input((4,)), L.Dense(4, activation="tanh", name="inner"), L.Dropout(0.1), L.Dense(3, name="last")], name="head")
shared = L.Dense(4, activation="sigmoid", name="shared")
a, b = shared(embed(left)), shared(embed(right))
x = L.Subtract()([a, b])
y = L.Dense(2, activation="softmax", name="classes")(L.Concatenate()([a, b, x]))
z = head(L.Multiply()([a, L.Average()([b, x])]))
write("twins", keras.Model([left, right], [y, z], name="twins"), [normal(2, 6), normal(2, 6)], ".keras", ".h5")

# A model that was trained before, as a part of another.
front = L.Input((8, 8, 3))
x = L.Conv2D(4, 3, activation="relu", name="c1")(front)
x = L.Concatenate()([L.Conv2D(4, 1, name="c2")(x), x])
base = keras.Model(front, L.MaxPooling2D()(x), name="base")
image = L.Input((8, 8, 3))
x = keras.Sequential([L.RandomFlip("horizontal"), L.RandomRotation(0.1)], name="augmentation")(image)
x = L.GlobalMaxPooling2D()(base(x))
x = L.Dense(3, name="new")(x)
write("transfer", keras.Model(image, x, name="transfer"), normal(2, 8, 8, 3), ".keras", ".h5")

# Sequences.
words = L.Input((7,), dtype="int32")
x = L.Embedding(11, 6, name="words")(words)
x = L.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="elu", name="causal")(x)
x = L.ZeroPadding1D((1, 2))(x)
x = L.Cropping1D((0, 1))(x)
x = L.SeparableConv1D(6, 3, padding="same", name="separable")(x)
x = L.MaxPooling1D(2)(x)
x = L.UpSampling1D(2)(x)
x = L.Bidirectional(L.LSTM(4, return_sequences=True), merge_mode="sum", name="both")(x)
x = L.GRU(4, return_sequences=True, name="gru")(x)
x = L.TimeDistributed(L.Dense(6, activation="gelu"), name="steps")(x)
n = L.LayerNormalization(epsilon=1e-6, name="norm")(x)
n = L.MultiHeadAttention(2, 3, name="attention")(n, n, use_causal_mask=True)
x = L.Add()([x, n])
memory = L.RepeatVector(3)(L.GlobalMaxPooling1D()(x))
x = L.MultiHeadAttention(3, 2, use_bias=False, name="cross")(x, memory)
x = L.GRU(5, go_backwards=True, name="last")(x)
x = L.Dense(3, name="out")(x)
write("words", keras.Model(words, x, name="words"), random.integers(0, 11, (2, 7)).astype(np.float32))

# Functions.
features = L.Input((5,))
outputs = []
for name in ["relu6", "leaky_relu", "selu", "softsign", "mish", "exponential", "hard_sigmoid", "hard_silu", "log_softmax",
             "log_sigmoid", "tanh_shrink", "softplus", "gelu", "elu"]:
    outputs.append(L.Dense(4, activation=name, name=f"d_{name}")(features))
outputs.append(L.LeakyReLU(name="leaky")(L.Dense(4, name="d_leaky")(features)))
outputs.append(L.ReLU(negative_slope=0.1)(L.Dense(4, name="d_slope")(features)))
outputs.append(L.ReLU(max_value=1.5)(L.Dense(4, name="d_most")(features)))
outputs.append(L.ELU(alpha=0.5)(L.Dense(4, name="d_elu2")(features)))
outputs.append(L.PReLU(name="slopes")(L.Dense(4, name="d_prelu")(features)))
outputs.append(L.Softmax()(L.Dense(4, name="d_softmax")(features)))
outputs.append(L.UnitNormalization()(L.Dense(4, name="d_unit")(features)))
outputs.append(L.BatchNormalization(scale=False, name="centred")(L.Dense(4, name="d_bn")(features)))
outputs.append(ops.gelu(L.Dense(4, name="d_gelu_op")(features)))
outputs.append(L.Rescaling([1.0, 2.0, 3.0, 4.0], offset=[0.1, 0.2, 0.3, 0.4])(L.Dense(4, name="d_scaled")(features)))
outputs.append(L.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 4.0, 9.0, 0.25])(L.Dense(4, name="d_mean")(features)))
adapted = L.Normalization(name="normalization_1")
adapted.adapt(2 * normal(50, 4) + 1)
outputs.append(adapted(L.Dense(4, name="d_adapted")(features)))
outputs.append(1.0 - ops.maximum(L.Dense(4, name="d_ops")(features), 2 * outputs[0] / 3.0))
write("functions", keras.Model(features, L.Concatenate()(outputs), name="functions"), normal(3, 5))

# Shapes.
image = L.Input((12, 10, 4))
x = L.CenterCrop(11, 10)(image)
x = L.Resizing(8, 12)(x)
x = L.GroupNormalization(2, name="group")(x)
x = L.SeparableConv2D(6, 3, strides=2, padding="same", depth_multiplier=2, activation="relu", name="sep")(x)
x = L.Conv2DTranspose(6, 3, strides=2, padding="same", name="up_same")(x)
x = L.Conv2DTranspose(6, 2, strides=3, name="up_valid")(x)
x = L.Cropping2D(((1, 2), (3, 0)))(x)
x = L.AveragePooling2D(3, strides=2, padding="same")(x)
x = L.Conv2D(8, 3, groups=2, padding="same", dilation_rate=2, name="groups")(x)
x = L.Conv2D(8, (3, 1), groups=8, activation="hard_sigmoid", name="each")(x)
x = L.UpSampling2D((2, 1))(x)
x = L.UpSampling2D(2, interpolation="bilinear")(x)
x = L.Dense(3, activation="relu", name="pixels")(x)
x = L.PReLU(shared_axes=[1, 2], name="slopes")(x)
x = L.Permute((3, 1, 2))(x)
x = L.Permute((2, 3, 1))(x)
x = L.Concatenate(axis=1)([x, x])
means = ops.mean(x, axis=[1, 2])
x = L.Softmax(axis=1)(x)
x = L.Reshape((-1, 12))(x)
x = L.AveragePooling1D(2)(x)
x = L.Flatten()(x)
x = L.Dense(3, name="out")(x)
write("shapes", keras.Model(image, L.Add()([x, means]), name="shapes"), normal(2, 12, 10, 4))


@keras.saving.register_keras_serializable("studio")
class Own(L.Layer):
    def call(self, x):
        return x + 1


# What cannot be expressed.
image = L.Input((8, 8, 3))
x = L.Conv2D(4, 3, name="stem")(image)
x = L.Lambda(lambda x: x * 2, name="double")(x)
x = Own(name="own")(x)
x = L.BatchNormalization(axis=1, name="rows")(x)
x = L.Conv2D(4, 3, activation="hard_tanh", name="clipped")(x)
x = L.Lambda(lambda x: x * 2, name="again")(x)
x = L.Reshape((-1, 4))(x)
x = L.SimpleRNN(3, name="simple")(x)
x = L.Dense(2, name="out")(x)
keras.Model(image, x, name="odd").save("odd.keras")
packed("odd.keras")

# Layers that are called in a circle of references, and a model that was never built.
keras.Sequential([L.Dense(3, name="first")], name="unbuilt").save("unbuilt.keras")
packed("unbuilt.keras")

# Operations of `keras.ops`, which have no module in HDF5; the values are those of the model before it was saved.
features = L.Input((5,))
hidden = L.Dense(4, name="hidden")(features)
squares = ops.relu(hidden) - ops.square(hidden)
scaled = ops.clip(ops.absolute(squares), 0.0, 2.0) * 2.0 + ops.sigmoid(hidden)
write("operations", keras.Model(features, L.Dense(2, name="out")(scaled), name="operations"), normal(3, 5), ".h5", ".keras")
