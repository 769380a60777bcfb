"""Writes the tables beside it: what PyTorch computes in float64 of shipped architectures as torchvision, timm, transformers and PyTorch
define them: outputs at inference, and the loss and the gradients of a training step.

    pip install torch torchvision timm transformers numpy
    python make.py

Made with torch 2.15, torchvision 0.29.2, timm 1.0.31 and transformers 5.24. Weights, inputs and targets are pseudo-random numbers that the
test makes itself, so a table has no more of a parameter than its name, its shape, the norm of its gradient and a few values of it.

Gradients of deep networks with rectifiers and batch normalisation cannot be computed to 1e-4 in float32: the gradient of a rectifier jumps,
and where rounding moves a share e of the values across its kink, gradients differ by about the root of e. `rounding` is how far
gradients move when float64 is replaced by float32, or when weights change by a millionth.
"""

from functools import partial

import numpy as np
import timm
import torch
from torch import nn
from torch.nn import functional
from torchvision import models
from transformers import BertConfig, BertModel

SAMPLES = 6


def noise(name, shape):
    """Numbers from -1 to 1, each a multiple of 2^-23: a hash of its index, seeded by the hash of a name."""
    seed = np.uint32(2166136261)
    with np.errstate(over="ignore"):
        for byte in name.encode():
            seed = (seed ^ np.uint32(byte)) * np.uint32(16777619)
        x = np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint32) * np.uint32(0x9E3779B9) + seed
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return ((x ^ (x >> np.uint32(16))) >> np.uint32(8)).astype(np.float64).reshape(shape) / 2**23 - 1


def weights(name, shape, variance):
    """Values that tell each weight from the others, also where a layer begins with ones or zeros, and keep the scale; `variance` is about
    that of what batch normalisations have as input at inference."""
    values = noise(name, shape)
    if name.endswith("running_var"):
        values = variance * (1 + values / 2)
    elif len(shape) < 2:
        values = values / 8 + (1 if name.endswith("weight") else 0)
    else:
        values = values * np.sqrt(3 / np.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32))


def last(x):
    return x.movedim(1, -1) if x.ndim == 4 else x


def first(x):
    return x.movedim(-1, 1).contiguous() if x.ndim == 4 else x


def photos(size, batch=4):
    """Noise over squares of 8 x 8 pixels, and finer noise."""
    squares = noise("squares", (batch, size // 8, size // 8, 3))
    values = squares.repeat(8, 1).repeat(8, 2) + noise("x0", (batch, size, size, 3)) / 2
    return (first(torch.from_numpy(values.astype(np.float32))),)


def features(*shape):
    return (torch.from_numpy(noise("x0", shape).astype(np.float32)),)


def numbers(name, shape, below):
    return torch.from_numpy(np.floor((noise(name, shape) + 1) / 2 * below).astype(np.int64))


def crossentropy(parts):
    """The sample at n is of class n * 3, a pixel of another one, modulo the number of classes."""
    (y,) = parts
    positions = y.numel() // y.shape[1]
    classes = (torch.arange(positions) * 3 % y.shape[1]).reshape(y.shape[:1] + y.shape[2:])
    return functional.cross_entropy(y, classes)


def squares(parts):
    wanted = [noise(f"target{at}", tuple(last(part).shape)) for at, part in enumerate(parts)]
    return sum(functional.mse_loss(last(y), torch.from_numpy(t).to(y.dtype)) for y, t in zip(parts, wanted))


def run(model, inputs, of, loss, variance, moved=0.0):
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            given = weights(name, tuple(value.shape), variance)
            value.copy_(given * (1 + moved * torch.from_numpy(noise(f"moved/{name}", tuple(value.shape)))) if moved else given)
    dtype = next(model.parameters()).dtype
    inputs = [x.to(dtype) if x.is_floating_point() else x for x in inputs]
    model.eval()
    with torch.no_grad():
        outputs = [last(y) for y in of(model(*inputs))]
    if loss is crossentropy:
        outputs = [torch.softmax(y, -1) for y in outputs]
    model.train().zero_grad()
    value = loss(of(model(*inputs)))
    value.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    return outputs, value.item(), {name: gradient.double().flatten().clone() for name, gradient in gradients.items()}


def difference(a, b):
    """The largest of any parameter, in terms of its largest gradient, or of a thousandth of the largest of all."""
    most = max(gradient.abs().max() for gradient in b.values())
    return max(((a[key] - g).abs().max() / max(g.abs().max(), 1e-3 * most)).item() for key, g in b.items())


def keep(name, model, inputs, of=lambda y: (y,), loss=crossentropy, variance=1.0):
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items() if value.is_floating_point()}
    _, _, single = run(model.float(), inputs, of, loss, variance)
    _, _, moved = run(model.double(), inputs, of, loss, variance, 1e-6)
    outputs, value, gradients = run(model, inputs, of, loss, variance)
    rounding = max(difference(single, gradients), difference(moved, gradients))
    with open(f"{name}.tsv", "w") as file:
        row = lambda *cells: print(*cells, sep="\t", file=file)
        row("variance", variance)
        row("rounding", f"{rounding:.1e}")
        row("loss", f"{value:.10e}")
        for y in outputs:
            flat = y.flatten()
            row("output", "x".join(map(str, y.shape)), *(f"{y:.8e}" for y in flat[:: max(1, len(flat) // 200)].tolist()))
        for key, shape in shapes.items():
            cells = []
            if key in gradients:
                flat = gradients[key]
                samples = flat[:: max(1, len(flat) // SAMPLES)][:SAMPLES].tolist()
                cells = [f"{value:.8e}" for value in [flat.norm().item(), flat.abs().max().item(), *samples]]
            row(key, "x".join(map(str, shape)), *cells)
    size = sum(np.prod(shape) for shape in shapes.values()) / 1e6
    apart = ", ".join(f"{(y.std(0) / y.abs().max()).max():.1e}" for y in outputs)
    print(f"{name}: {size:.2f} M, loss {value:.6f}, rounding {rounding:.1e}, float32 {difference(single, gradients):.1e}, outputs of samples differ by {apart}", flush=True)


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


class YoloTiny(nn.Module):
    """Ultralytics' yolov3-tiny, up to its two outputs."""

    class Conv(nn.Module):
        def __init__(self, inputs, outputs, kernel):
            super().__init__()
            self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
            self.bn, self.act = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03), nn.LeakyReLU(0.1)

        def forward(self, x):
            return self.act(self.bn(self.conv(x)))

    class Detect(nn.Module):
        def __init__(self, outputs, *inputs):
            super().__init__()
            self.m = nn.ModuleList(nn.Conv2d(width, outputs, 1) for width in inputs)

    def __init__(self, classes):
        super().__init__()
        conv, pool = self.Conv, partial(nn.MaxPool2d, 2, 2)
        widths = [3, 16, 32, 64, 128, 256]
        layers = [layer for a, b in zip(widths, widths[1:]) for layer in (conv(a, b, 3), pool())]
        layers += [conv(256, 512, 3), nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, 1), conv(512, 1024, 3), conv(1024, 256, 1)]
        layers += [conv(256, 512, 3), conv(256, 128, 1), nn.Upsample(scale_factor=2), nn.Identity(), conv(384, 256, 3)]
        self.model = nn.Sequential(*layers, self.Detect(3 * (classes + 5), 256, 512))

    def forward(self, x):
        fine = self.model[:9](x)
        coarse = self.model[9:15](fine)
        up = torch.cat([self.model[16:18](coarse), fine], 1)
        detect = self.model[20].m
        return detect[0](self.model[19](up)), detect[1](self.model[15](coarse))


if __name__ == "__main__":
    still = dict(dropout=0.0, stochastic_depth_prob=0.0)
    keep("efficientnet_b0", models.efficientnet_b0(num_classes=10, **still), photos(64), variance=0.42)
    keep("mobilenet_v3_small", models.mobilenet_v3_small(num_classes=10, dropout=0.0), photos(64), variance=0.6)
    keep("mobilenet_v3_large", models.mobilenet_v3_large(num_classes=10, dropout=0.0), photos(64), variance=0.6)
    keep("resnext50", models.resnext50_32x4d(num_classes=10), photos(32), variance=2.0)
    keep("convnext_tiny", models.convnext_tiny(num_classes=10, stochastic_depth_prob=0.0), photos(32))
    keep("regnet_y_400mf", models.regnet_y_400mf(num_classes=10), photos(32), variance=2.0)
    keep("shufflenet_v2", models.shufflenet_v2_x1_0(num_classes=10), photos(64), variance=0.7)
    keep("deit_tiny", timm.create_model("deit_tiny_patch16_224", num_classes=10, img_size=64), photos(64))
    deeplab = models.segmentation.deeplabv3_mobilenet_v3_large(num_classes=5, weights_backbone=None)
    deeplab.classifier[0].project[3].p = 0.0
    keep("deeplab_v3", deeplab, photos(64), of=lambda y: (y["out"],), variance=0.6)
    keep("yolov3_tiny", YoloTiny(4), photos(64), of=tuple, loss=squares, variance=0.5)
    keep("dcgan", Generator(20, 8), features(4, 20), loss=squares, variance=0.5)
    keep("bigru_text", BiGru(), (numbers("x0", (4, 7), 30),))
    still = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    sizes = dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512)
    bert = BertModel(BertConfig(vocab_size=200, max_position_embeddings=12, **sizes, **still))
    mask = torch.tensor([[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0]])
    tokens = (numbers("x0", (2, 6), 200), mask, numbers("x2", (2, 6), 2))
    keep("bert_tiny", bert, tokens, of=lambda y: (y.last_hidden_state, y.pooler_output), loss=squares)
