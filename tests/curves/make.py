"""Loss curves of PyTorch and Keras for the same net, data, initial weights and batches; see README.md."""

import os

os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np
import torch

SAMPLES, BATCH, EPOCHS, CLASSES = 48, 12, 10, 3
rng = np.random.default_rng(7)
# Sixteenths, so that a byte holds each value.
images = rng.integers(-32, 33, (SAMPLES, 8, 8, 2)).astype(np.int8)
labels = rng.integers(0, CLASSES, SAMPLES).astype(np.int8)
# Something to be learnt: each class is brighter in another corner.
for image, label in zip(images, labels):
    image[4 * (label // 2) : 4 * (label // 2) + 4, 4 * (label % 2) : 4 * (label % 2) + 4] += 10
x = images.astype(np.float32) / 16


def start(*shape):
    return (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))).astype(np.float32)


weights = {
    "convolution-1/weight": start(3, 3, 2, 4),
    "convolution-1/bias": np.full(4, 0.1, np.float32),
    "relu-2/weight": start(36, 8),
    "relu-2/bias": np.full(8, 0.1, np.float32),
    "softmax-1/weight": start(8, CLASSES),
    "softmax-1/bias": np.zeros(CLASSES, np.float32),
}
batches = [range(begin, begin + BATCH) for _ in range(EPOCHS) for begin in range(0, SAMPLES, BATCH)]


def by_torch(optimizer):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(2, 4, 3)
            self.hidden, self.top = torch.nn.Linear(36, 8), torch.nn.Linear(8, CLASSES)

        def forward(self, x):
            x = torch.nn.functional.max_pool2d(torch.relu(self.conv(x.permute(0, 3, 1, 2))), 2)
            # Flattened with the channels last.
            return self.top(torch.relu(self.hidden(x.permute(0, 2, 3, 1).flatten(1))))

    net = Net()
    with torch.no_grad():
        net.conv.weight.copy_(torch.tensor(weights["convolution-1/weight"]).permute(3, 2, 0, 1))
        net.conv.bias.copy_(torch.tensor(weights["convolution-1/bias"]))
        for layer, name in [(net.hidden, "relu-2"), (net.top, "softmax-1")]:
            layer.weight.copy_(torch.tensor(weights[name + "/weight"]).T)
            layer.bias.copy_(torch.tensor(weights[name + "/bias"]))
    optimizer, losses = optimizer(net.parameters()), []
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(
            net(torch.tensor(x[batch])), torch.tensor(labels[batch].astype(np.int64))
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses, np.float32)


def by_keras(optimizer):
    layers = keras.layers
    net = keras.Sequential([
        layers.Input((8, 8, 2)),
        layers.Conv2D(4, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(8, activation="relu"),
        layers.Dense(CLASSES, activation="softmax"),
    ])
    net.set_weights(list(weights.values()))
    net.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    losses = []
    for batch in batches:
        # Else it tells the mean over all batches so far.
        net.reset_metrics()
        losses.append(net.train_on_batch(x[batch], labels[batch].astype(np.int64)))
    return np.array(losses, np.float32)


torch_optimizers = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.003, eps=1e-7),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.003, eps=1e-7, weight_decay=0.1),
}
keras_optimizers = {
    "sgd": lambda: keras.optimizers.SGD(0.05),
    "momentum": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "nesterov": lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.003, epsilon=1e-7),
}
curves = {f"torch_{name}": by_torch(of) for name, of in torch_optimizers.items()}
curves |= {f"keras_{name}": by_keras(of()) for name, of in keras_optimizers.items()}
for name, losses in curves.items():
    print(f"{name:15} {losses[0]:.6f} {losses[len(losses) // 2]:.6f} {losses[-1]:.6f}")
np.savez_compressed("curves.npz", images=images, labels=labels, **weights, **curves)
