"""Writes what an engine runs, under the kit's Python: `convert.py KIND SOURCE TARGET …`.

  images input.f32 x.npz BATCH               the kit's images, channels last
  inputs net.onnx x.npz BATCH                random inputs of any network, images channels last
  tflite net.onnx net.tflite KIT BATCH       from the kit's PyTorch module, by litert-torch, images channels last
  litert-int8 net.tflite int8.tflite PHOTOS BATCH
  ort-int8 net.onnx int8.onnx PHOTOS         unsigned activations, signed weights for each channel
  ov-int8 net.onnx int8.xml PHOTOS           by NNCF
"""
import pathlib
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


KINDS = {"images": images, "inputs": inputs, "tflite": tflite, "litert-int8": litert_int8, "ort-int8": ort_int8, "ov-int8": ov_int8}

if __name__ == "__main__":
    kind, source, target, *more = sys.argv[1:]
    KINDS[kind](pathlib.Path(source), pathlib.Path(target), *more)
