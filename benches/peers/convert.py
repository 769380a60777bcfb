"""Writes what an engine runs, under the kit's Python: `convert.py KIND SOURCE TARGET …`.

  images input.f32 x.npz BATCH               the kit's images, channels last
  inputs net.onnx x.npz BATCH                random inputs of any network, images channels last
  tflite net.onnx net.tflite KIT BATCH       from the kit's PyTorch module, by litert-torch, images channels last
  litert-int8 net.tflite int8.tflite PHOTOS BATCH
  ort-int8 net.onnx int8.onnx PHOTOS         unsigned activations, signed weights for each channel
  ov-int8 net.onnx int8.xml PHOTOS           by NNCF
  inferena net.onnx other/net.onnx           the kit's ResNet-50 with that benchmark's weights: .onnx, .pt, .h5 and input.f32
"""
import pathlib
import shutil
import sys
import tempfile

import numpy

# Of the inputs that are no images: how many kinds of tokens there are.
TOKENS = {"input_ids": 30522, "attention_mask": 2, "token_type_ids": 2}
WORDS = {200: 20000}
# Photos that an engine is calibrated by.
SAMPLES = 32


def images(source, target, batch):
    x = numpy.fromfile(source, numpy.float32, int(batch) * 3 * 224 * 224).reshape(-1, 3, 224, 224)
    numpy.savez(target, input=x.transpose(0, 2, 3, 1))


def inputs(source, target, batch):
    import onnx
    chance = numpy.random.default_rng(1)
    arrays = {}
    for value in onnx.load(source).graph.input:
        shape = [int(batch), *(size.dim_value for size in value.type.tensor_type.shape.dim[1:])]
        kinds = TOKENS.get(value.name) or (WORDS.get(shape[1]) if len(shape) == 2 else None)
        x = chance.integers(0, kinds, shape) if kinds else chance.standard_normal(shape)
        arrays[value.name] = (x.transpose(0, 2, 3, 1) if x.ndim == 4 else x).astype(numpy.float32)
    numpy.savez(target, **arrays)


def tflite(source, target, kit, batch):
    sys.path.insert(0, kit)
    import bench_peers
    import litert_torch
    import torch
    module = litert_torch.to_channel_last_io(bench_peers.torch_model(source.with_suffix("")), args=[0])
    litert_torch.convert(module, (torch.zeros(int(batch), 224, 224, 3),)).export(str(target))


def photos(folder, layout="first"):
    """Some of a folder's, as ImageNet's networks of torchvision take them."""
    from PIL import Image
    files = sorted(file for file in pathlib.Path(folder).rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
    for file in files[::max(1, len(files) // SAMPLES)][:SAMPLES]:
        image = Image.open(file).convert("RGB")
        image = image.resize([side * 256 // min(image.size) for side in image.size], Image.Resampling.BILINEAR)
        left, top = ((side - 224) // 2 for side in image.size)
        x = numpy.asarray(image.crop((left, top, left + 224, top + 224)), numpy.float32) / 255
        x = ((x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).astype(numpy.float32)[None]
        yield x if layout == "last" else numpy.ascontiguousarray(x.transpose(0, 3, 1, 2))


def litert_int8(source, target, folder, batch):
    from ai_edge_quantizer import quantizer, recipe
    quantized = quantizer.Quantizer(str(source), recipe.static_wi8_ai8())
    from ai_edge_litert.interpreter import Interpreter
    (name, signature), = Interpreter(str(source)).get_signature_list().items()
    samples = [{signature["inputs"][0]: numpy.repeat(x, int(batch), 0)} for x in photos(folder, "last")]
    quantized.quantize(quantized.calibrate({name: samples})).export_model(str(target), overwrite=True)


def ort_int8(source, target, folder):
    from onnxruntime import quantization as q
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(q.CalibrationDataReader):
        samples = photos(folder)

        def get_next(self):
            x = next(self.samples, None)
            return None if x is None else {"input": x}
    with tempfile.TemporaryDirectory() as name:
        folded = pathlib.Path(name, "folded.onnx")
        quant_pre_process(source, folded, skip_symbolic_shape=True)
        q.quantize_static(folded, target, Reader(), quant_format=q.QuantFormat.QDQ, per_channel=True,
                          activation_type=q.QuantType.QUInt8, weight_type=q.QuantType.QInt8)


def ov_int8(source, target, folder):
    import nncf
    import openvino
    model = openvino.Core().read_model(source)
    openvino.save_model(nncf.quantize(model, nncf.Dataset(list(photos(folder)))), target, compress_to_fp16=False)


def sine(name, shape):
    """A parameter of the public benchmark inferena: a sine whose phase is a hash of the parameter's name."""
    if len(shape) == 1 and name != "fc.bias":  # normalisation is the identity
        return numpy.full(shape, name.endswith((".weight", "running_var")), numpy.float32)
    phase = 0
    for letter in name.encode():
        phase = (phase * 31 + letter) % 2**32
    values = numpy.arange(numpy.prod(shape), dtype=numpy.float32) * numpy.float32(0.01) + numpy.float32(phase % 10_000)
    values = numpy.sin(values) * numpy.float32(0.01)
    return numpy.ascontiguousarray(values.reshape(shape[::-1]).T) if name == "fc.weight" else values.reshape(shape)


def inferena(source, target):
    import h5py
    import onnx
    import torch
    from onnx import numpy_helper
    model = onnx.load(source)
    weights = {tensor.name: sine(tensor.name, list(tensor.dims)) for tensor in model.graph.initializer}
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name], tensor.name))
    onnx.save(model, target)
    torch.save({name: torch.from_numpy(values) for name, values in weights.items()}, target.with_suffix(".pt"))
    kinds = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var", "kernel": "weight", "bias": "bias"}
    shutil.copy(source.with_suffix(".h5"), target.with_suffix(".h5"))
    with h5py.File(target.with_suffix(".h5"), "r+") as file:
        for layer in file.attrs["layer_names"]:
            for stored in file[layer].attrs["weight_names"]:
                name, kind = stored.decode().removesuffix(":0").rsplit("/", 1)
                values = weights[f"{name}.{kinds[kind]}"]
                axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(values.ndim, (0,))
                file[layer][stored][...] = values.transpose(axes)
    images = numpy.sin((numpy.arange(4 * 3 * 224 * 224) * 0.001).astype(numpy.float32))
    images.tofile(target.with_name("input.f32"))


KINDS = {"images": images, "inputs": inputs, "tflite": tflite, "litert-int8": litert_int8, "ort-int8": ort_int8, "ov-int8": ov_int8,
         "inferena": inferena}

if __name__ == "__main__":
    kind, source, target, *more = sys.argv[1:]
    KINDS[kind](pathlib.Path(source), pathlib.Path(target), *more)
