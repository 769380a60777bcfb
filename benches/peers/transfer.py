#!/usr/bin/env python3
"""The same recipes of transfer learning in netc and in PyTorch, on a folder of photos, for several seeds.

  transfer.py --kit KIT --data DIR --squeezenet FILE --vgg16 FILE --work DIR [--recipes a,b] [--seeds 5]

DIR holds train/KIND/*.jpg and test/KIND/*.jpg. FILE are ImageNet weights: SqueezeNet 1.1 in NeuPy's layout, VGG16's
convolutions in Keras'. Both sides read the photos, compute the fronts and train, each with its own code; the heads begin
with the same numbers, and recipes that go on from a head go on from their own side's. Each side shuffles by itself.
What is done is kept in the folder of --work: a stopped run goes on where it was. transfer_torch.py is PyTorch's side.
"""
import argparse
import dataclasses
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

from workers import HERE, add_kit, find_kit

# Losses of one batch, from the same weights and inputs, differ by less than this, relative.
SAME = 1e-4


@dataclasses.dataclass
class Recipe:
    weights: str
    """Whose weights, and the option that names them."""
    net: str
    """What stands before the head, in netc's language."""
    cut: int
    """How many of PyTorch's modules are frozen; negative from the end."""
    step: float
    l2: float
    epochs: int
    batch: int
    begin: str = ""
    """The recipe whose head it goes on from."""
    trained: str = ""
    """What of the net is trained before the head, behind an input for arrays."""


RECIPES = {
    "squeezenet-head": Recipe("squeezenet", "frozen(squeezenet1_1[..=fire9])", -1, step=0.001, l2=0.1, epochs=60, batch=32),
    "squeezenet-tuned": Recipe("squeezenet", "squeezenet1_1[..=fire9]", 0, step=0.00002, l2=0.01, epochs=2, batch=16,
                               begin="squeezenet-head", trained="Input(227x227x3) >> squeezenet1_1[conv1..=fire9]"),
    "vgg16-head": Recipe("vgg16", "frozen(vgg16(image=Torch)[..=max-pooling-5])", -1, step=0.0003, l2=1.0, epochs=60, batch=16),
    "vgg16-block5": Recipe("vgg16", "frozen(vgg16(image=Torch)[..=max-pooling-4]) >> vgg16[conv5_1..=max-pooling-5]", 24,
                           step=0.0001, l2=0.01, epochs=2, batch=16, begin="vgg16-head",
                           trained="Input(14x14x512) >> vgg16[conv5_1..=max-pooling-5]"),
}
HEADS = {"squeezenet": "GlobalPool(avg) >> Softmax({kinds}) as kind",
         "vgg16": "MaxPool(3x3, stride=2) >> Flatten >> Softmax({kinds}) as kind"}
# The shipped net that has these weights.
NETS = {"squeezenet": "squeezenet1_1", "vgg16": "vgg16"}


def main():
    args = arguments()
    done = []
    for name in args.recipes:
        recipe = RECIPES[name]
        for seed in range(args.seeds):
            folder = args.work / name / str(seed)
            folder.mkdir(parents=True, exist_ok=True)
            if recipe.begin:
                heads = {side: args.work / recipe.begin / str(seed) / f"{side}.h5" for side in ("netc", "torch")}
            else:
                heads = dict.fromkeys(("netc", "torch"), first_head(args, recipe, seed, folder))
            if recipe.trained and seed == 0:
                kept(args.work / name / "check.json", lambda: check(args, name, recipe, heads["netc"]))
            for side, train in (("netc", train_netc), ("torch", train_torch)):
                told = kept(folder / f"{side}.json", lambda: train(args, name, recipe, seed, heads[side], folder))
                print(f"# {name}, seed {seed}, {side}: {right([settled(told)])} % right, loss {told['losses'][-1]:.4f}, "
                      f"{told['cpu']:.0f} s of CPU", file=sys.stderr, flush=True)
                done.append(dict(told, recipe=name, side=side))
    table(args, done)
    return 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_kit(parser)
    parser.add_argument("--data", type=absolute, required=True, help="train/KIND/*.jpg and test/KIND/*.jpg")
    parser.add_argument("--squeezenet", type=absolute, help="SqueezeNet 1.1 in NeuPy's layout")
    parser.add_argument("--vgg16", type=absolute, help="VGG16's convolutions in Keras' layout")
    parser.add_argument("--work", type=absolute, required=True, help="where results, weights and features are kept")
    parser.add_argument("--recipes", type=lambda text: text.split(","), default=list(RECIPES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = find_kit(parser, parser.parse_args())
    for name in args.recipes:
        if name not in RECIPES:
            parser.error(f"no recipe {name}; there are {', '.join(RECIPES)}")
        if getattr(args, RECIPES[name].weights) is None:
            parser.error(f"{name} needs --{RECIPES[name].weights}")
    # A head stands before what goes on from it.
    wanted = set(args.recipes) | {RECIPES[name].begin for name in args.recipes}
    args.recipes = [name for name in RECIPES if name in wanted]
    args.kinds = sum(folder.is_dir() for folder in (args.data / "train").iterdir())
    return args


def absolute(text):
    return pathlib.Path(text).resolve()


def kept(path, make):
    """What `make` has told in this or an earlier run."""
    if not path.exists():
        told = make()
        whole = path.with_suffix(".part")
        whole.write_text(json.dumps(told) + "\n")
        whole.rename(path)
    return json.loads(path.read_text())


def measured(command, args, log):
    """Runs a process; its stdout and the CPU seconds of all its threads, which hold where the machine does other things too.

    Threads that wait sleep: PyTorch's would spin, and count as work, the more the busier the machine is.
    """
    threads = {f"{library}_NUM_THREADS": str(args.threads) for library in ("OMP", "MKL", "OPENBLAS")} | {"OMP_WAIT_POLICY": "PASSIVE"}
    began = time.perf_counter()
    with open(log, "w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True,
                                   env={**os.environ, **threads, "NETC_CACHE": str(args.work / "cache")})
        told = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nended with code {process.returncode}; see {log}")
    return told, dict(cpu=usage.ru_utime + usage.ru_stime, wall=time.perf_counter() - began, peak_mb=usage.ru_maxrss / 1024)


# ------------------------------------------------------------------------------------------------ netc
def spec(args, recipe, body, head, recipe_text):
    return f"""netc 1
weights {NETS[recipe.weights]} = "{getattr(args, recipe.weights)}"
weights top = "{head}"
net netc = {body} >> top
net top = {HEADS[recipe.weights].format(kinds=args.kinds)}
train netc {{
{recipe_text}
}}
"""


def run_netc(args, text, path):
    """Trains a spec; the record of the run, and what it took."""
    path.write_text(text)
    _, cost = measured([args.netc, "train", path, "--threads", str(args.threads)], args, path.with_suffix(".log"))
    return path.with_suffix(".run").joinpath("run.yaml").read_text(), cost


def train_netc(args, name, recipe, seed, head, folder):
    text = spec(args, recipe, recipe.net, head, f"""  data        = images("{args.data}/train")
  validation  = images("{args.data}/test")
  optimizer   = Momentum(step={recipe.step}, momentum=0.9)
  regularizer = l2({recipe.l2})
  epochs      = {recipe.epochs}
  batch       = {recipe.batch}
  seed        = {seed}""")
    record, cost = run_netc(args, text, folder / "netc.net")
    tested = re.findall(r"^  validation_loss: (\S+)\n  validation:\n    accuracy: (\S+)$", record, re.M)
    losses, accuracies = zip(*(map(float, epoch) for epoch in tested))
    return dict(cost, losses=losses, accuracies=accuracies)


def check(args, name, recipe, head):
    """Both sides' loss of one batch, of the same inputs and from the same weights, before they train."""
    folder = args.work / name
    batch = folder / "batch.h5"
    told, _ = torch(args, "check", name, recipe, folder / "check-torch.log", seed=0, head=head, batch_file=batch)
    text = spec(args, recipe, recipe.trained, head, f"""  data      = arrays("{batch}", x="inputs", y="targets")
  optimizer = Momentum(step=1e-30)
  epochs    = 1
  batch     = {recipe.batch}""")
    record, _ = run_netc(args, text, folder / "netc.net")
    losses = dict(netc=float(re.search(r"^  loss: (\S+)$", record, re.M)[1]), torch=told["loss"])
    print(f"# {name}: loss of one batch {losses['netc']:.6f}, PyTorch {losses['torch']:.6f}", file=sys.stderr, flush=True)
    if not math.isclose(losses["netc"], losses["torch"], rel_tol=SAME):
        sys.exit(f"{name}: the two sides do not compute the same")
    return losses


# ------------------------------------------------------------------------------------------------ PyTorch
def torch(args, task, name, recipe, log, **more):
    """A task of transfer_torch.py: what it told, and what it took."""
    told = dict(dataclasses.asdict(recipe), task=task, data=str(args.data), file=str(getattr(args, recipe.weights)),
                features=str(args.work / f"torch-{name}.pt"), kinds=args.kinds, threads=args.threads)
    told |= {key: str(value) if isinstance(value, pathlib.Path) else value for key, value in more.items()}
    answer, cost = measured([args.python, HERE / "transfer_torch.py", json.dumps(told)], args, log)
    return json.loads(answer), cost


def first_head(args, recipe, seed, folder):
    path = folder / "first.h5"
    if not path.exists():
        torch(args, "head", "", recipe, folder / "first.log", seed=seed, head=path)
    return path


def train_torch(args, name, recipe, seed, head, folder):
    told, cost = torch(args, "train", name, recipe, folder / "torch.log", seed=seed, head=head, trained_head=folder / "torch.h5")
    return cost | told


# ------------------------------------------------------------------------------------------------ the table
def table(args, done):
    print("| recipe | netc, % right | PyTorch, % right | netc, CPU s | PyTorch, CPU s |\n|---|---|---|---|---|")
    for name in args.recipes:
        rows = [[row for row in done if row["recipe"] == name and row["side"] == side] for side in ("netc", "torch")]
        cells = [right([settled(row) for row in side]) for side in rows]
        cells += [seconds([row["cpu"] for row in side]) for side in rows]
        print(f"| {name} | " + " | ".join(cells) + " |")


def settled(told):
    """The accuracy in percent, as the mean over the last third of the epochs: a head's goes up and down by two percent."""
    accuracies = told["accuracies"]
    return 100 * statistics.mean(accuracies[-math.ceil(len(accuracies) / 3):])


def right(shares):
    return f"{statistics.mean(shares):.1f}" + (f" ({min(shares):.1f} to {max(shares):.1f})" if len(shares) > 1 else "")


def seconds(cpu):
    """Of the first seed, which computes the front, and the mean of the others."""
    return f"{cpu[0]:.0f}" + (f", then {statistics.mean(cpu[1:]):.1f}" if len(cpu) > 1 else "")


if __name__ == "__main__":
    sys.exit(main())
