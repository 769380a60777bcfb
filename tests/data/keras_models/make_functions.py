"""Writes hard_sigmoid_*.h5, as Keras 2 and Keras 3 describe one model, and layer_scale_*: residual blocks with the names
and shapes of torchvision's and timm's ConvNeXt. Needs h5py, numpy, torch and safetensors; values of Keras are its formulas."""

import json

import h5py
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

rng = np.random.default_rng(5)
x = rng.normal(size=(6, 4)).astype("f4") * 3
kernel = rng.normal(size=(4, 3)).astype("f4")
bias = rng.normal(size=3).astype("f4")
z = x.astype("f8") @ kernel + bias
for major, version, alpha in [(2, "2.15.0", 0.2), (3, "3.5.0", 1 / 6)]:
    np.save(f"hard_sigmoid_{major}_x.npy", x)
    np.save(f"hard_sigmoid_{major}_y.npy", np.clip(alpha * z + 0.5, 0, 1).astype("f4"))
    dense = {"name": "gate", "units": 3, "activation": "hard_sigmoid", "use_bias": True}
    config = {"name": "model", "layers": [{"class_name": "Dense", "config": dense}]}
    with h5py.File(f"hard_sigmoid_{major}.h5", "w") as file:
        weights = file.create_group("model_weights")
        for group in (file, weights):
            group.attrs["keras_version"] = version.encode()
            group.attrs["backend"] = b"tensorflow"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config}).encode()
        weights.attrs["layer_names"] = [b"gate"]
        weights.create_group("gate").attrs["weight_names"] = [b"gate/kernel:0", b"gate/bias:0"]
        weights["gate/gate/kernel:0"], weights["gate/gate/bias:0"] = kernel, bias

torch.manual_seed(3)


class Block(nn.Module):
    """The first convolution of a ConvNeXt block, its layer scale, and the sum."""

    def __init__(self, name, gamma):
        super().__init__()
        self.conv, self.name = nn.Conv2d(4, 4, 3, padding=1, groups=4), name
        setattr(self, name, nn.Parameter(gamma))

    def forward(self, x):
        gamma = getattr(self, self.name)
        return x + self.conv(x) * gamma.reshape(-1, 1, 1)


for maker, name, shape, prefix, conv in [
    ("torchvision", "layer_scale", (4, 1, 1), "features.1.0", "features.1.0.block.0"),
    ("timm", "gamma", (4,), "stages.0.blocks.0", "stages.0.blocks.0.conv_dw"),
    ("transformers", "layer_scale_parameter", (4,), "layers.0", "layers.0.dwconv"),
]:
    block = Block(name, torch.randn(shape))
    x = torch.randn(3, 4, 5, 6)
    np.save(f"layer_scale_{maker}_x.npy", x.permute(0, 2, 3, 1).contiguous().numpy())
    np.save(f"layer_scale_{maker}_y.npy", block(x).permute(0, 2, 3, 1).detach().contiguous().numpy())
    tensors = {f"{prefix}.{name}": getattr(block, name).data}
    tensors |= {f"{conv}.{part}": tensor.data for part, tensor in block.conv.named_parameters()}
    save_file(tensors, f"layer_scale_{maker}.safetensors", {"format": "pt"})
