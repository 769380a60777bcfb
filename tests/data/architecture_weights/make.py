"""Writes the files beside it: weights of shipped architectures at reduced widths, as torchvision, transformers and PyTorch name
them, and what PyTorch computes of them in float64.

    pip install torch torchvision transformers safetensors numpy
    python make.py

Made with torch 2.15, torchvision 0.29.2 and transformers 5.
"""

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.shufflenetv2 import ShuffleNetV2

reference = {}


def keep(name, model, *inputs, of=lambda y: torch.softmax(y, -1)):
    """Values that tell each weight from the others, also where a layer begins with ones or zeros."""
    torch.manual_seed(7)
    for key, value in model.state_dict().items():
        if value.dtype != torch.float32:
            continue
        if key.endswith("running_var"):
            value.copy_(torch.rand(value.shape) + 0.5)
        elif value.ndim < 2:
            value.copy_(torch.randn(value.shape) * 0.1 + (1.0 if key.endswith("weight") else 0.0))
        else:
            value.copy_(torch.randn(value.shape) / value[0].numel() ** 0.5)
    counters = [key for key in model.state_dict() if key.endswith(("num_batches_tracked", "position_ids"))]
    save_file({key: value.contiguous() for key, value in model.state_dict().items() if key not in counters}, f"{name}.safetensors")
    with torch.no_grad():
        y = of(model.double().eval()(*(x.double() if x.is_floating_point() else x for x in inputs)))
    last = lambda x: x.movedim(1, -1) if x.ndim == 4 else x
    for at, x in enumerate(inputs):
        reference[f"{name}.x{at}"] = np.ascontiguousarray(last(x).numpy().astype(np.float32))
    for at, part in enumerate(y if isinstance(y, tuple) else (y,)):
        reference[f"{name}.y{at}"] = np.ascontiguousarray(last(part).numpy().astype(np.float32))


class BiGru(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.gru, self.fc = nn.Embedding(30, 5), nn.GRU(5, 6, bidirectional=True, batch_first=True), nn.Linear(12, 2)

    def forward(self, x):
        h = self.gru(self.embedding(x))[1]
        return self.fc(torch.cat([h[0], h[1]], 1))


class Generator(nn.Module):
    """As in PyTorch's example of a DCGAN."""

    def __init__(self, noise, width):
        super().__init__()
        layers = []
        for inputs, outputs in [(noise, 8 * width), (8 * width, 4 * width), (4 * width, 2 * width), (2 * width, width)]:
            layers.append(nn.ConvTranspose2d(inputs, outputs, 4, 2 if layers else 1, 1 if layers else 0, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, x):
        return self.main(x[:, :, None, None])


if __name__ == "__main__":
    torch.manual_seed(3)
    blocks = [CNBlockConfig(8, 16, 1), CNBlockConfig(16, 32, 1), CNBlockConfig(32, 64, 2), CNBlockConfig(64, None, 1)]
    keep("convnext_tiny", ConvNeXt(blocks, num_classes=5), torch.randn(2, 3, 64, 64))
    keep("shufflenet_v2", ShuffleNetV2([4, 8, 4], [24, 8, 16, 32, 24], num_classes=5), torch.randn(2, 3, 64, 64))
    keep("bigru_text", BiGru(), torch.randint(0, 30, (3, 7)))
    keep("dcgan", Generator(5, 2), torch.randn(2, 5), of=lambda y: y)
    from transformers import BertConfig, BertModel

    sizes = dict(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    bert = BertModel(BertConfig(vocab_size=20, max_position_embeddings=9, **sizes))
    mask = torch.tensor([[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0]])
    given = (torch.randint(0, 20, (2, 6)), mask, torch.tensor([[0, 0, 1, 1, 1, 0]] * 2))
    keep("bert_tiny", bert, *given, of=lambda y: (y.last_hidden_state, y.pooler_output))
    np.savez_compressed("reference.npz", **reference)
