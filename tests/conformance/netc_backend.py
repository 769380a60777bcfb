"""netc in the form of an ONNX backend (onnx.backend.base): a model is imported, built and run by the program.

`NETC` names the program; without it, the one in PATH is run. Needs onnx and numpy.

A spec has parameters in its layers, where an ONNX model may take them as inputs. A model that cannot be imported with all of
its inputs is imported with some of them as constants, once their values are known: first those that are no floating-point
tensors (axes, shapes, bounds), then all but the first (weights).
"""

import os
import re
import shutil
import subprocess
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.base import Backend, BackendRep

PROGRAM = os.environ.get("NETC", "netc")
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


class Refused(Exception):
    """The model has parts that netc does not take, with the program's message."""


def program(folder, *arguments):
    done = subprocess.run(
        [PROGRAM, *arguments], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "NO_COLOR": "1", "NETC_CACHE": os.path.join(folder, "cache")},
    )
    if done.returncode != 0:
        raise Refused(done.stderr)


def sizes(value):
    """The sizes of a value, None where they are open."""
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim]


class Net:
    """A model with some of its inputs as constants, built."""

    def __init__(self, model, constants):
        self.folder = tempfile.mkdtemp(prefix="netc-")
        if constants:
            whole, model = model, onnx.ModelProto()
            model.CopyFrom(whole)
            model.graph.initializer.extend(constants)
            names = {tensor.name for tensor in constants}
            inputs = [value for value in model.graph.input if value.name not in names]
            del model.graph.input[:]
            model.graph.input.extend(inputs)
        onnx.save(model, os.path.join(self.folder, "model.onnx"))
        program(self.folder, "import", "model.onnx", "-o", "model.net")
        program(self.folder, "build", "model.net", "--allow-untrained")
        with open(os.path.join(self.folder, "model.net"), encoding="utf-8") as file:
            self.spec = file.read()
        known = {tensor.name for tensor in model.graph.initializer}
        self.inputs = [value.name for value in model.graph.input if value.name not in known]
        self.outputs = list(model.graph.output)
        # The spec says where its axes are others than the model's.
        self.first = set(re.findall(r"# `(.+)` is \(channels, height, width\)", self.spec))
        self.time = set(re.findall(r"`([^`]+)` is \(time, batch, features\)", self.spec))
        self.images = set(re.findall(r"# `(.+)`, which it gives, is \(channels, height, width\)", self.spec))
        self.all_images = "Images that it gives have their channels last too" in self.spec
        self.has_batch = "no axis for a batch" not in self.spec

    def __del__(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, given):
        arrays = {}
        for name in self.inputs:
            array = np.asarray(given[name])
            array = array if self.has_batch else array[None]
            array = array.transpose(0, 2, 3, 1) if name in self.first else array
            array = array.transpose(1, 0, 2) if name in self.time else array
            array = array.reshape(-1, 1) if array.ndim == 1 else array
            # Of float64 the program says itself which values it cannot take.
            kept = array.dtype if array.dtype in (np.float32, np.float64) else np.float32
            arrays[name] = np.ascontiguousarray(array, dtype=kept)
        path = "x.npy" if len(arrays) == 1 else "x.npz"
        if len(arrays) == 1:
            np.save(os.path.join(self.folder, path), *arrays.values())
        else:
            np.savez(os.path.join(self.folder, path), **arrays)
        program(self.folder, "predict", "model.netb", path, "-o", "y.npz")
        with np.load(os.path.join(self.folder, "y.npz")) as found:
            outputs = [found[name] for name in found.files]
        return [self.given(value, array) for value, array in zip(self.outputs, outputs)]

    def given(self, value, array):
        """An output with the axes and the type of the model."""
        if array.ndim == 4 and (self.all_images or value.name in self.images):
            array = array.transpose(0, 3, 1, 2)
        if value.name in self.time:
            array = array.swapaxes(0, 1)
        array = array if self.has_batch else array[0]
        shape = sizes(value)
        if None not in shape and int(np.prod(shape)) == array.size:
            array = array.reshape(shape)
        return array.astype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))


class NetcRep(BackendRep):
    def __init__(self, model):
        self.model = model
        known = {tensor.name for tensor in model.graph.initializer}
        self.inputs = [value for value in model.graph.input if value.name not in known]
        self.net, self.constants = None, {}
        try:
            self.net = Net(model, [])
        except Refused as refused:
            if len(self.inputs) < 2:
                raise
            self.refused = refused

    def run(self, inputs, **_):
        given = dict(zip((value.name for value in self.inputs), inputs))
        same = all(np.array_equal(given[name], value, equal_nan=True) for name, value in self.constants.items())
        if self.net is None or not same:
            self.net = self.with_constants(given)
        return self.net.run(given)

    def with_constants(self, given):
        """The model with the values of some inputs."""
        names = [value.name for value in self.inputs]
        tensors = [
            value.name for value in self.inputs
            if value.type.tensor_type.elem_type in FLOATS and len(sizes(value)) > 0
        ]
        for kept in (tensors, names[:1]):
            self.constants = {name: np.asarray(given[name]) for name in names if name not in kept}
            try:
                return Net(self.model, [numpy_helper.from_array(value, name) for name, value in self.constants.items()])
            except Refused as refused:
                last = refused
        raise last


class NetcBackend(Backend):
    @classmethod
    def prepare(cls, model, device="CPU", **_):
        return NetcRep(model)

    @classmethod
    def run_model(cls, model, inputs, device="CPU", **_):
        return cls.prepare(model).run(inputs)

    @classmethod
    def is_compatible(cls, model, device="CPU", **_):
        return any(value.type.tensor_type.elem_type in FLOATS for value in model.graph.input)

    @classmethod
    def supports_device(cls, device):
        return device == "CPU"


prepare = NetcBackend.prepare
run_model = NetcBackend.run_model
is_compatible = NetcBackend.is_compatible
supports_device = NetcBackend.supports_device
