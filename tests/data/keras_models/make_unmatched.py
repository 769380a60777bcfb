"""Writes four models with their arrays: layers without weights; heads, masks, directions; shapes and repeated calls. Keras 3.15."""

import keras
import numpy as np
from keras import layers


def save(model, inputs):
    for layer in model.layers:
        layer.set_weights([np.random.default_rng(3).normal(size=w.shape, scale=0.5) for w in layer.get_weights()])
    model.save(f"{model.name}.keras")
    np.save(f"{model.name}_x.npy", inputs)
    np.save(f"{model.name}_y.npy", model.predict(inputs, verbose=0))


keras.utils.set_random_seed(7)
x = keras.Input((7, 6, 3), name="x")
h = layers.Rescaling(1 / 64, offset=-1, name="scaled")(x)
h = layers.Conv2D(4, 2, name="a")(h)
h = layers.Cropping2D(((1, 0), (0, 1)), name="cropped")(h)
h = layers.UpSampling2D(2, interpolation="bilinear", name="larger")(h)
h = layers.Conv2D(4, 3, name="b")(h)
h = layers.UnitNormalization(name="unit")(h)
h = layers.GlobalAveragePooling2D(name="pooled")(h)
e = layers.Dense(3, name="c")(h)
f = layers.Dense(3, name="d")(h)
h = layers.Add(name="sum")([e * 3.0, keras.ops.relu(f)])
h = layers.Dense(2, name="last")(h)
save(keras.Model(x, keras.ops.square(h), name="unmatched"), np.random.default_rng(5).uniform(0, 128, (2, 7, 6, 3)).astype("float32"))

x = keras.Input((5, 8), name="x")
h = layers.MultiHeadAttention(2, 4, name="attention")(x, x, use_causal_mask=True)
h = layers.Bidirectional(layers.LSTM(4), merge_mode="sum", name="both")(h)
save(keras.Model(x, layers.Dense(2, name="last")(h), name="attended"), np.random.default_rng(6).normal(size=(2, 5, 8)).astype("float32"))

x = keras.Input((4,), name="x")
h = layers.Dense(12, name="a")(x)
h = layers.Reshape((2, 3, 2), name="shaped")(h)
h = layers.SeparableConv2D(3, 2, activation="relu", name="s")(h)
h = layers.Conv2D(2, 1, name="c")(h)
h = layers.Flatten(name="flat")(h)
twice = layers.Dense(4, name="t")
h = layers.Dense(4, name="u")(twice(twice(h))) + x
save(keras.Model(x, layers.Dense(2, name="last")(h), name="called"), np.random.default_rng(6).normal(size=(2, 4)).astype("float32"))

x = keras.Input((5, 4), name="x")
h = layers.Attention(name="attention")([layers.Dense(3, name="q")(x), layers.Dense(3, name="k")(x)])
save(keras.Model(x, layers.Dense(2, name="last")(h), name="weightless"), np.random.default_rng(6).normal(size=(2, 5, 4)).astype("float32"))
