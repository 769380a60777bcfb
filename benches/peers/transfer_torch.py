"""PyTorch's side of transfer.py, under the kit's Python: does the one task of its argument (JSON), prints what came out (JSON)."""
import json
import math
import pathlib
import sys

import h5py
import numpy
import torch
from PIL import Image, ImageOps
from torch import nn
from torch.nn import functional


def main():
    task = json.loads(sys.argv[1])
    torch.set_num_threads(task["threads"])
    torch.manual_seed(task["seed"])
    print(json.dumps({"head": first_head, "check": check, "train": train}[task["task"]](task)))


# ------------------------------------------------------------------------------------------------ the networks
class Fire(nn.Module):
    def __init__(self, channels, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = functional.relu(self.squeeze(x))
        return functional.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))


class FlattenRows(nn.Module):
    """As channels-last arrays are flattened, so that both sides' heads have the same order."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


def squeezenet(kinds):
    pool = lambda: nn.MaxPool2d(3, 2)
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 2, padding=1), nn.ReLU(), pool(), Fire(64, 16, 64), Fire(128, 16, 64), pool(),
        Fire(128, 32, 128), Fire(256, 32, 128), pool(), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256),
        Fire(512, 64, 256), nn.AdaptiveAvgPool2d(1), FlattenRows(), nn.Linear(512, kinds))


def vgg16(kinds):
    layers, channels = [], 3
    for count, filters in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(count):
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
            channels = filters
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.MaxPool2d(3, 2), FlattenRows(), nn.Linear(9 * 512, kinds))


def network(task):
    """The frozen front and what is trained, with the file's weights and the task's head."""
    net = {"squeezenet": squeezenet, "vgg16": vgg16}[task["weights"]](task["kinds"])
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    with h5py.File(task["file"]) as file, torch.no_grad():
        names = file.attrs["layer_names"]
        names = json.loads(names) if isinstance(names, str) else [name.decode() for name in names]
        for convolution, name in zip(convolutions, names):
            found = []
            file[name].visititems(lambda _, item: found.append(item[...]) if isinstance(item, h5py.Dataset) else None)
            kernel, bias = sorted(found, key=lambda array: -array.ndim)
            convolution.weight.copy_(torch.from_numpy(kernel).permute(3, 2, 0, 1))
            convolution.bias.copy_(torch.from_numpy(bias))
    with h5py.File(task["head"]) as file, torch.no_grad():
        net[-1].weight.copy_(torch.from_numpy(file["kind/weight"][...].T))
        net[-1].bias.copy_(torch.from_numpy(file["kind/bias"][...]))
    layers = list(net)
    return nn.Sequential(*layers[:task["cut"]]), nn.Sequential(*layers[task["cut"]:])


def write_head(path, weight, bias):
    """In NeuPy's layout, as netc binds it."""
    with h5py.File(path, "w") as file:
        file.attrs["graph"], file.attrs["layer_names"] = json.dumps([["kind", []]]), json.dumps(["kind"])
        file.attrs["metadata"] = json.dumps(dict(language="python", library="neupy", version="0.8.2"))
        group = file.create_group("kind")
        group.attrs["name"], group.attrs["class_name"] = json.dumps("kind"), json.dumps("Softmax")
        group.attrs["configs"] = json.dumps(dict(name="kind", units=len(bias)))
        for name, values in (("weight", weight), ("bias", bias)):
            group.create_dataset(name, data=numpy.asarray(values, numpy.float32)).attrs["trainable"] = True


def first_head(task):
    """Glorot's uniform start."""
    inputs, kinds = {"squeezenet": 512, "vgg16": 9 * 512}[task["weights"]], task["kinds"]
    bound = math.sqrt(6 / (inputs + kinds))
    write_head(task["head"], numpy.random.RandomState(task["seed"]).uniform(-bound, bound, (inputs, kinds)), numpy.zeros(kinds))
    return {}


# ------------------------------------------------------------------------------------------------ the photos
def photo(path, weights):
    """Shorter side to `resize`, the centre of it, then as the weights were trained; channels first."""
    resize, size = {"squeezenet": (227, 227), "vgg16": (256, 224)}[weights]
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    shorter = min(image.size)
    image = image.resize([side * resize // shorter for side in image.size], Image.Resampling.BILINEAR)
    left, top = ((side - size) // 2 for side in image.size)
    x = numpy.asarray(image.crop((left, top, left + size, top + size)), numpy.float32)
    if weights == "squeezenet":
        x = x[:, :, ::-1] - numpy.array([103.939, 116.779, 123.68], numpy.float32)
    else:
        x = (x / 255 - numpy.array([0.485, 0.456, 0.406], numpy.float32)) / numpy.array([0.229, 0.224, 0.225], numpy.float32)
    return torch.from_numpy(numpy.ascontiguousarray(x.transpose(2, 0, 1)))


def photos(task, part):
    """The files and their kinds, of which there is a folder each."""
    folders = sorted(folder for folder in pathlib.Path(task["data"], part).iterdir() if folder.is_dir())
    return [(file, kind) for kind, folder in enumerate(folders) for file in sorted(folder.iterdir())]


@torch.no_grad()
def seen(task, front, files):
    """What the front makes of photos, and their kinds."""
    rows = [front(torch.stack([photo(file, task["weights"]) for file, _ in files[at:at + 16]])) for at in range(0, len(files), 16)]
    return torch.cat(rows), torch.tensor([kind for _, kind in files])


def features(task, front):
    """Of all photos, to train and to test; kept for the next seeds."""
    path = pathlib.Path(task["features"])
    if not path.exists():
        result = [seen(task, front, photos(task, part)) for part in ("train", "test")]
        torch.save(result, path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
    return torch.load(path)


# ------------------------------------------------------------------------------------------------ the tasks
def check(task):
    front, trained = network(task)
    files = photos(task, "train")
    x, y = seen(task, front, files[::len(files) // task["batch"]][:task["batch"]])
    with h5py.File(task["batch_file"], "w") as file:
        file["inputs"], file["targets"] = x.permute(0, 2, 3, 1).numpy(), y.numpy().astype(numpy.float32)
    with torch.no_grad():
        return dict(loss=functional.cross_entropy(trained(x), y).item())


def train(task):
    front, trained = network(task)
    (x, y), (test_x, test_y) = features(task, front)
    # netc's l2(a) adds a times the sum of the squared weights, whose gradient is 2a times the weight; biases go free.
    weights = [value for value in trained.parameters() if value.dim() > 1]
    biases = [value for value in trained.parameters() if value.dim() == 1]
    groups = [dict(params=weights, weight_decay=2 * task["l2"]), dict(params=biases, weight_decay=0.0)]
    optimizer = torch.optim.SGD(groups, lr=task["step"], momentum=0.9)
    told = dict(losses=[], accuracies=[])
    for epoch in range(task["epochs"]):
        total = 0.0
        for rows in torch.randperm(len(x)).split(task["batch"]):
            optimizer.zero_grad()
            loss = functional.cross_entropy(trained(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        accuracy, test_loss = tested(trained, test_x, test_y)
        told["accuracies"].append(accuracy)
        told["losses"].append(test_loss)
        print(f"epoch {epoch + 1}: loss {total / len(x):.4f}, test loss {test_loss:.4f}, accuracy {accuracy:.4f}", file=sys.stderr, flush=True)
    write_head(task["trained_head"], trained[-1].weight.detach().numpy().T, trained[-1].bias.detach().numpy())
    return told


@torch.no_grad()
def tested(trained, x, y):
    """After each epoch, as netc measures its validation."""
    out = torch.cat([trained(rows) for rows in x.split(32)])
    return (out.argmax(1) == y).float().mean().item(), functional.cross_entropy(out, y).item()


if __name__ == "__main__":
    main()
