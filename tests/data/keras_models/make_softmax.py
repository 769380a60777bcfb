"""Writes softmax.h5 and softmax.keras: a softmax along the height of an image between two convolutions, and what Keras 3.15
computes. Needs keras, torch, h5py, numpy."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
from keras import layers as L

rng = np.random.default_rng(11)
model = keras.Sequential(
    [L.Input((4, 3, 2)), L.Conv2D(2, 1, name="first"), L.Softmax(axis=1), L.Conv2D(2, 2, name="second")]
)
for weight in model.weights:
    weight.assign(rng.normal(size=weight.shape))
x = rng.normal(size=(2, 4, 3, 2)).astype("f4")
np.save("softmax_x.npy", x)
np.save("softmax_y.npy", model.predict(x, verbose=0))
for kind in ("h5", "keras"):
    model.save(f"softmax.{kind}")
