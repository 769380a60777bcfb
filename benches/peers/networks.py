"""The networks that are compared, and the files that each side runs: made once, and again where what they are made of is newer."""
import dataclasses
import pathlib
import subprocess

from workers import HERE, Netc, Worker, environment, kit_worker

KIT = ["vgg16", "resnet50", "squeezenet1_1", "alexnet", "mobilenet_v2"]
# Shipped specs, exported with the random weights that netc gives them.
REACH = ["efficientnet_b0", "mobilenet_v3_small", "mobilenet_v3_large", "resnext50", "convnext_tiny", "regnet_y_400mf", "shufflenet_v2",
         "deit_tiny", "deeplab_v3", "unet", "yolov3_tiny", "bert_tiny", "dcgan", "bigru_text"]
# What converts a network for an engine, and the ending of the file; other engines take the .onnx as it is.
CONVERTED = {"litert": ".b{batch}.tflite", "litert-int8": ".b{batch}.int8.tflite", "ort-int8": ".int8.onnx", "ov-int8": ".int8.xml"}
OWN = {*CONVERTED, "tract", "ov-bf16"}


@dataclasses.dataclass
class Network:
    name: str
    spec: str
    """A file or the name of a shipped net."""
    options: list
    """Of netc, for its weights."""
    weights: pathlib.Path | None
    path: pathlib.Path
    """Of the files of the engines, without their endings."""
    shipped: bool

    @property
    def onnx(self):
        return self.path.with_name(f"{self.path.name}.onnx")


def network(args, name):
    spec = HERE / "specs" / f"{name}.net"
    if not spec.exists():
        (args.kit / "models/shipped").mkdir(parents=True, exist_ok=True)
        return Network(name, name, ["--allow-untrained"], None, args.kit / "models/shipped" / name, shipped=True)
    whole = name.split("_feat")[0]  # a part of a model has the weights of the whole
    weights = args.kit / "models" / f"{whole}.h5"
    return Network(name, str(spec), ["--weights", f"{whole}={weights}"], weights, args.kit / "models" / name, shipped=False)


def made(target, sources, command):
    """`target`, made by `command` unless it is newer than all that it is made of."""
    newest = max((source.stat().st_mtime for source in sources if source), default=0)
    if not target.exists() or target.stat().st_mtime < newest:
        done = subprocess.run(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            target.unlink(missing_ok=True)
            raise RuntimeError(f"{target.name}: " + "\n".join(done.stderr.splitlines()[-6:]))
    return target


def artifact(args, net, precision="f32"):
    """netc's, beside the files of the engines."""
    kind = "".join(option.strip("-") + "." for option in args.build) + (f"{precision}." if precision != "f32" else "")
    target = net.path.with_name(f"{net.name}.{kind}netb")
    options = args.build + ["--precision", precision] + (["--calibrate", calibration(args)] if precision == "int8" else [])
    spec = None if net.shipped else pathlib.Path(net.spec)
    return build(args, net, target, options, [spec, net.weights, args.netc])


def build(args, net, target, options, sources=()):
    return made(target, sources, [args.netc, "build", net.spec, *net.options, "-o", target, *options])


def calibration(args):
    if args.calibrate is None:
        raise SystemExit("--precision int8 needs --calibrate FOLDER, photos to measure the ranges of activations by")
    return args.calibrate


def exported(args, net):
    """The .onnx; the kit's, or written by netc."""
    if net.shipped:
        made(net.onnx, [args.netc], [args.netc, "export", net.spec, *net.options, "-o", net.onnx])
    return net.onnx


def convert(args, kind, source, target, *more):
    """By convert.py, under the kit's Python."""
    return made(target, [source], [args.python, HERE / "convert.py", kind, source, target, *map(str, more)])


def file_for(args, net, engine, batch):
    onnx = exported(args, net)
    if engine not in CONVERTED:
        return onnx
    target = net.path.with_name(net.name + CONVERTED[engine].format(batch=batch))
    if engine == "litert":
        if net.shipped:
            raise RuntimeError(f"{net.name} has no conversion to .tflite")
        return convert(args, "tflite", onnx, target, args.kit, batch)
    if engine == "litert-int8":
        return convert(args, engine, file_for(args, net, "litert", batch), target, calibration(args), batch)
    return convert(args, engine, onnx, target, calibration(args))


def inputs(args, net, batch, folder):
    """Channels last: the kit's images, or random ones and random tokens."""
    target = folder / f"{net.name}-{batch}.npz"
    if not target.exists():
        source = exported(args, net) if net.shipped else net.path.parent / "input.f32"
        convert(args, "inputs" if net.shipped else "images", source, target, batch)
    return target


def netc(args, net, batch, threads, folder, precision="f32"):
    return Netc(args, artifact(args, net, precision), inputs(args, net, batch, folder), batch, threads, folder)


def engine(args, name, net, batch, threads, folder):
    """The kit's worker where it has this network and engine, else one of engines.py."""
    if name not in OWN and not net.shipped:
        return kit_worker(args, name, net.path, batch, threads, folder)
    file = file_for(args, net, name, batch)
    command = [args.python, HERE / "engines.py", name, file, inputs(args, net, batch, folder), str(threads)]
    return Worker(name, command, environment(threads), folder)
