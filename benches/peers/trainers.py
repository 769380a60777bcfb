"""Training that the kit does not have, under its Python: JAX for all tasks, PyTorch for networks with batch normalisation.

  trainers.py KIT TASK BATCH PEER MODELS THREADS

Weights, data, loss and the step of Momentum are those of the kit's `bench_train.py`; JAX begins with the weights of PyTorch's module.
"""
import os
import pathlib
import sys

from serving import serve

KIT, TASK, BATCH, PEER, MODELS, THREADS = sys.argv[1:]
sys.path.insert(0, KIT)
if PEER == "jax":
    os.environ.update(JAX_PLATFORMS="cpu", NPROC=THREADS)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(THREADS)])

import bench_peers
import bench_train
import numpy
import torch

FROZEN = 24  # of VGG16's features, where only block 5 is trained


# ------------------------------------------------------------------------------------------------ PyTorch
def module():
    """What is trained, with a new last layer, and without dropout."""
    torch.manual_seed(0)
    torch.set_num_threads(int(THREADS))
    new = lambda width: torch.nn.Linear(width, bench_train.CLASSES)
    if TASK == "head":
        return new(4096)
    net = bench_peers.torch_model(pathlib.Path(MODELS, TASK if TASK in ("resnet50", "mobilenet_v2") else "vgg16"))
    if TASK == "resnet50":
        net.fc = new(2048)
    elif TASK == "mobilenet_v2":
        net.classifier[1] = new(1280)
    else:
        net.classifier[6] = new(4096)
    for part in net.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    if TASK == "block5":
        net.features[:FROZEN].requires_grad_(False)
    return net.train()


def torch_step():
    net, (x, y) = module(), (torch.from_numpy(values) for values in bench_train.data(TASK, int(BATCH)))
    if PEER == "torch-cl":
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=bench_train.LR, momentum=bench_train.MOM)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()
    return step


# ------------------------------------------------------------------------------------------------ JAX
def layouts(net):
    """PyTorch's arrays as JAX takes them: kernels as height, width, in, out; rows of dense layers by input."""
    for name, values in net.state_dict().items():
        axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(values.dim())
        yield name, numpy.ascontiguousarray(values.numpy().transpose(axes) if axes else values.numpy())


def forward(part, name, values, moved, x):
    """What a module makes of x, channels last; `moved` gets the new running statistics."""
    from jax import lax
    from jax import numpy as jnp
    child = lambda which, x: forward(getattr(part, which), f"{name}{which}.", values, moved, x)
    match type(part).__name__:
        case "Conv2d":
            x = lax.conv_general_dilated(x, values[name + "weight"], part.stride, [(side, side) for side in part.padding],
                                         dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=part.groups)
            return x if part.bias is None else x + values[name + "bias"]
        case "Linear":
            return x @ values[name + "weight"] + values[name + "bias"]
        case "BatchNorm2d":
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            rows = x.size / x.shape[3]
            for which, new in (("running_mean", mean), ("running_var", variance * (rows / (rows - 1)))):
                moved[name + which] = (1 - part.momentum) * values[name + which] + part.momentum * new
            return (x - mean) * (values[name + "weight"] * lax.rsqrt(variance + part.eps)) + values[name + "bias"]
        case "ReLU":
            return jnp.maximum(x, 0)
        case "ReLU6":
            return jnp.clip(x, 0, 6)
        case "MaxPool2d":
            size, stride, pad = part.kernel_size, part.stride, part.padding
            return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        case "AdaptiveAvgPool2d":
            return x.mean((1, 2), keepdims=True) if part.output_size in (1, (1, 1)) else x
        case "Dropout":
            return x
        case "Bottleneck":
            y = x
            for which in ("conv1", "bn1", "relu", "conv2", "bn2", "relu", "conv3", "bn3"):
                y = child(which, y)
            return jnp.maximum(y + (x if part.downsample is None else child("downsample", x)), 0)
        case "InvertedResidual":
            return x + child("conv", x) if part.use_res_connect else child("conv", x)
        case "ResNet" | "VGG" | "MobileNetV2":
            for which, _ in part.named_children():
                if which in ("fc", "classifier"):
                    if type(part).__name__ == "MobileNetV2":  # whose pool is a function
                        x = x.mean((1, 2), keepdims=True)
                    x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
                x = child(which, x)
            return x
        case _:
            for which, _ in part.named_children():
                x = child(which, x)
            return x


def jax_step():
    import jax
    from jax import numpy as jnp
    net = module()
    values = {name: jnp.asarray(array) for name, array in layouts(net)}
    trained = {name for name, parameter in net.named_parameters() if parameter.requires_grad}
    x, y = bench_train.data(TASK, int(BATCH))
    x, y = jnp.asarray(x if TASK == "head" else x.transpose(0, 2, 3, 1)), jnp.asarray(y)

    def loss_of(parameters, others, x, y):
        moved = {}
        scores = jax.nn.log_softmax(forward(net, "", parameters | others, moved, x))
        return -jnp.take_along_axis(scores, y[:, None], 1).mean(), others | moved

    def step(parameters, speeds, others, x, y):
        (loss, others), slopes = jax.value_and_grad(loss_of, has_aux=True)(parameters, others, x, y)
        speeds = jax.tree.map(lambda speed, slope: bench_train.MOM * speed + slope, speeds, slopes)
        return jax.tree.map(lambda value, speed: value - bench_train.LR * speed, parameters, speeds), speeds, others, loss

    step = jax.jit(step, donate_argnums=(0, 1, 2))
    parameters = {name: value for name, value in values.items() if name in trained}
    state = [parameters, jax.tree.map(jnp.zeros_like, parameters), {name: value for name, value in values.items() if name not in trained}]
    chance = numpy.random.default_rng(0)

    def whole():
        *state[:], loss = step(*state, x, y)
        return float(loss)

    def epoch():
        order = chance.permutation(len(x))
        for at in range(0, len(x), 128):
            rows = order[at:at + 128]
            *state[:], loss = step(*state, x[rows], y[rows])
        return float(loss)
    return epoch if TASK == "head" else whole


if __name__ == "__main__":
    serve(jax_step if PEER == "jax" else torch_step, answer=lambda times, last: [times, last])
