"""Writes merges.keras, merges.h5 and their arrays: branches with activations and pools, merges of three kinds. Keras 3.15."""

import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(7)
x = keras.Input((6, 5, 3), name="x")
a = layers.Conv2D(4, 3, padding="same", activation="relu", name="a")(x)
b = layers.Conv2D(4, 1, name="b")(x)
s = layers.Add(name="s")([a, b])
c = layers.Conv2D(4, 3, padding="same", name="c")(s)
pooled = layers.MaxPooling2D(3, strides=1, padding="same", name="pooled")(s)
d = layers.Conv2D(4, 1, name="d")(pooled)
joined = layers.Concatenate(name="joined")([c, d, s])
e = layers.Conv2D(2, 1, name="e")(joined)
f = layers.Conv2D(2, 1, name="f")(joined)
y = layers.ReLU(name="y")(layers.Subtract(name="t")([e, f]))
model = keras.Model(x, y, name="model")
for layer in model.layers:
    layer.set_weights([np.random.default_rng(3).normal(size=w.shape, scale=0.5) for w in layer.get_weights()])
model.save("merges.keras")
model.save("merges.h5")
inputs = np.random.default_rng(5).normal(size=(2, 6, 5, 3)).astype("float32")
np.save("merges_x.npy", inputs)
np.save("merges_y.npy", model.predict(inputs, verbose=0))
