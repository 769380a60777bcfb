"""Writes the files beside it: weights of transformers with what PyTorch 2.15 and timm 1.0.31 compute of them.

    python make.py
"""

import h5py
import numpy as np
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer

torch.manual_seed(7)


def random(module):
    """Values that tell each weight from the others, also where a layer begins with ones or zeros."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return module.eval()



# A vision transformer like deit_tiny_patch16_224, of 4 x 4 patches and two blocks of 12 features.
vit = random(VisionTransformer(img_size=(8, 12), patch_size=4, embed_dim=12, depth=2, num_heads=3, num_classes=5))
image = torch.randn(2, 3, 8, 12)
save_file(vit.state_dict(), "deit.safetensors")
probabilities = torch.softmax(vit(image), -1)

# torch.nn.MultiheadAttention: of a sequence to itself, causal, and to a memory of other features, with masks.
x, memory = torch.randn(2, 6, 8), torch.randn(2, 5, 4)
hidden = torch.tensor([[False, True, False, False, True], [False, False, False, True, True]])
causal = torch.triu(torch.ones(6, 6, dtype=torch.bool), 1)
pairs = torch.rand(6, 6) < 0.4
pairs.fill_diagonal_(False)
own = random(torch.nn.MultiheadAttention(8, 2, batch_first=True))
cross = random(torch.nn.MultiheadAttention(8, 4, kdim=4, vdim=4, batch_first=True))
save_file({f"attn.{key}": value for key, value in own.state_dict().items()}, "own.safetensors")
save_file({f"attn.{key}": value for key, value in cross.state_dict().items()}, "cross.safetensors")
y_own = own(x, x, x)[0]
y_causal = own(x, x, x, attn_mask=causal)[0]
y_pairs = own(x, x, x, attn_mask=pairs)[0]
y_cross = cross(x, memory, memory)[0]
y_hidden = cross(x, memory, memory, key_padding_mask=hidden)[0]

# The same values as the linear layers of Hugging Face's CLIP, and as Keras' MultiHeadAttention.
state = own.state_dict()
parts = dict(zip(["q_proj", "k_proj", "v_proj"], zip(state["in_proj_weight"].chunk(3), state["in_proj_bias"].chunk(3))))
parts["out_proj"] = (state["out_proj.weight"], state["out_proj.bias"])
linear = {}
for name, (weight, bias) in parts.items():
    linear[f"attn.{name}.weight"], linear[f"attn.{name}.bias"] = weight.contiguous(), bias.contiguous()
save_file(linear, "linear.safetensors")
with h5py.File("keras.h5", "w") as file:
    file.attrs["layer_names"] = np.array([b"attn"])
    file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.15.0"
    group, names = file.create_group("attn"), []
    for keras, (weight, bias) in zip(["query", "key", "value", "attention_output"], parts.values()):
        last = keras == "attention_output"
        kernel = weight.T.reshape(2, 4, 8) if last else weight.T.reshape(8, 2, 4)
        for role, value in [("kernel", kernel), ("bias", bias if last else bias.reshape(2, 4))]:
            names.append(f"attn/{keras}/{role}:0".encode())
            group.create_dataset(names[-1].decode(), data=value.numpy())
    group.attrs["weight_names"] = np.array(names)

# Layer norm of the last axis of features, of a sequence and of an image (torchvision's LayerNorm2d is this on channels).
norm = random(torch.nn.LayerNorm(8))
save_file({f"norm.{key}": value for key, value in norm.state_dict().items()}, "norm.safetensors")
y_norm = norm(x + 3)

# A GRU of PyTorch, with biases of the state; and the form of it that Keras stores as reset_after=True, bias (2, 3 units).
gru = random(torch.nn.GRU(8, 3, batch_first=True))
save_file({f"gru.{key}": value for key, value in gru.state_dict().items()}, "gru.safetensors")
y_gru = gru(x)[0]
with h5py.File("gru.h5", "w") as file:
    file.attrs["layer_names"] = np.array([b"gru"])
    file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.15.0"
    group, names = file.create_group("gru"), []

    def keras_gates(rows):
        """Keras has the update gate first; both keep the old state where it is 1."""
        reset, update, candidate = rows.chunk(3)
        return torch.cat([update, reset, candidate])

    weights = gru.state_dict()
    values = [
        ("kernel", keras_gates(weights["weight_ih_l0"]).T),
        ("recurrent_kernel", keras_gates(weights["weight_hh_l0"]).T),
        ("bias", torch.stack([keras_gates(weights["bias_ih_l0"]), keras_gates(weights["bias_hh_l0"])])),
    ]
    for role, value in values:
        names.append(f"gru/gru_cell/{role}:0".encode())
        group.create_dataset(names[-1].decode(), data=value.contiguous().numpy())
    group.attrs["weight_names"] = np.array(names)

arrays = {
    "image": image.permute(0, 2, 3, 1),
    "probabilities": probabilities,
    "x": x,
    "memory": memory,
    "seen": (~hidden).float(),
    "pairs": (~pairs).float().expand(2, 6, 6),
    "y_own": y_own,
    "y_causal": y_causal,
    "y_pairs": y_pairs,
    "y_cross": y_cross,
    "y_hidden": y_hidden,
    "y_norm": y_norm,
    "y_gru": y_gru,
}
np.savez("reference.npz", **{key: value.detach().contiguous().numpy() for key, value in arrays.items()})
