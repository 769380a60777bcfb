"""netc in the form of an ONNX backend (onnx.backend.base): a model is imported, built and run by the program.

`NETC` names the program; without it, the one in PATH is run. Needs onnx and numpy.
"""

import os
import re
import shutil
import subprocess
import tempfile

import numpy as np
import onnx
from onnx import TensorProto
from onnx.backend.base import Backend, BackendRep

PROGRAM = os.environ.get("NETC", "netc")


class Refused(Exception):
    """The model has parts that netc does not take, with the program's message."""


def program(folder, *arguments):
    done = subprocess.run(
        [PROGRAM, *arguments], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "NO_COLOR": "1", "NETC_CACHE": os.path.join(folder, "cache")},
    )
    if done.returncode != 0:
        raise Refused(done.stderr)


class NetcRep(BackendRep):
    def __init__(self, model):
        self.folder = tempfile.mkdtemp(prefix="netc-")
        onnx.save(model, os.path.join(self.folder, "model.onnx"))
        program(self.folder, "import", "model.onnx", "-o", "model.net")
        program(self.folder, "build", "model.net", "--allow-untrained")
        with open(os.path.join(self.folder, "model.net"), encoding="utf-8") as file:
            self.spec = file.read()
        constants = {tensor.name for tensor in model.graph.initializer}
        self.inputs = [value.name for value in model.graph.input if value.name not in constants]
        self.outputs = [value.name for value in model.graph.output]
        # The spec says which images have their channels last.
        self.first = set(re.findall(r"# `(.+)` is \(channels, height, width\)", self.spec))
        self.images_out = "channels last too" in self.spec

    def __del__(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, inputs, **_):
        arrays = dict(zip(self.inputs, (np.asarray(array) for array in inputs)))
        for name, array in arrays.items():
            array = array.transpose(0, 2, 3, 1) if name in self.first else array
            arrays[name] = np.ascontiguousarray(array, dtype=np.float32)
        if len(arrays) == 1:
            # Axes of size 1 that a spec does not have.
            path = "x.npy"
            (array,) = arrays.values()
            np.save(os.path.join(self.folder, path), self.shaped(array))
        else:
            path = "x.npz"
            np.savez(os.path.join(self.folder, path), **arrays)
        program(self.folder, "predict", "model.netb", path, "-o", "y.npz")
        with np.load(os.path.join(self.folder, "y.npz")) as found:
            outputs = [found[name] for name in found.files]
        return [
            output.transpose(0, 3, 1, 2) if self.images_out and output.ndim == 4 else output for output in outputs
        ]

    def shaped(self, array):
        sizes = re.search(r"Input\(([0-9x]+)", self.spec)
        if sizes is None:
            return array
        wanted = tuple(int(size) for size in sizes.group(1).split("x"))
        rest = int(np.prod(wanted))
        return array if rest == 0 or array.size % rest else array.reshape(-1, *wanted)


class NetcBackend(Backend):
    @classmethod
    def prepare(cls, model, device="CPU", **_):
        return NetcRep(model)

    @classmethod
    def run_model(cls, model, inputs, device="CPU", **_):
        return cls.prepare(model).run(inputs)

    @classmethod
    def is_compatible(cls, model, device="CPU", **_):
        floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
        return all(value.type.tensor_type.elem_type in floats for value in model.graph.input)

    @classmethod
    def supports_device(cls, device):
        return device == "CPU"


prepare = NetcBackend.prepare
run_model = NetcBackend.run_model
is_compatible = NetcBackend.is_compatible
supports_device = NetcBackend.supports_device
