"""Engines for inference that the kit does not have, or not with any network or precision, under the kit's Python:

  engines.py ENGINE FILE INPUTS THREADS

INPUTS is netc's array (.npy) or arrays (.npz); images are channels last in it and in what is written, whatever the engine takes.
"""
import sys

import numpy

from serving import serve


def arrays(path):
    loaded = numpy.load(path)
    return [loaded[name] for name in loaded.files] if path.endswith(".npz") else [loaded]


def channels_first(array):
    return numpy.ascontiguousarray(array.transpose(0, 3, 1, 2)) if array.ndim == 4 else array


def channels_last(array):
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def onnxruntime(path, inputs, threads):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = {value.name: channels_first(array) for value, array in zip(session.get_inputs(), inputs, strict=True)}
    return lambda: [channels_last(output) for output in session.run(None, given)]


def openvino(path, inputs, threads, precision="f32"):
    import openvino
    given = [channels_first(array) for array in inputs]
    model = openvino.Core().read_model(path)
    model.reshape({index: array.shape for index, array in enumerate(given)})
    hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(model, "CPU", hints)
    request = compiled.create_infer_request()

    def run():
        outputs = request.infer(given, share_inputs=True, share_outputs=True)
        return [channels_last(outputs[output]) for output in compiled.outputs]
    return run


def tract(path, inputs, threads):
    """Its wheel has no threads: one core, whatever is asked."""
    import tract
    given = [channels_first(array) for array in inputs]
    model = tract.onnx().load(path)
    for index, array in enumerate(given):
        model.set_input_fact(index, ",".join(map(str, array.shape)) + ",f32")
    runnable = model.into_model().into_runnable()
    return lambda: [channels_last(output.to_numpy()) for output in runnable.run(given)]


def litert(path, inputs, threads):
    """With XNNPACK, as is its default; the file is converted for this batch, and takes images channels last."""
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    places, results = interpreter.get_input_details(), interpreter.get_output_details()

    def run():
        for place, array in zip(places, inputs, strict=True):
            interpreter.set_tensor(place["index"], quantised(array, *place["quantization"], place["dtype"]))
        interpreter.invoke()
        return [floats(interpreter.get_tensor(result["index"]), *result["quantization"]) for result in results]
    return run


def quantised(array, scale, zero, kind):
    """As an int8 network takes it; f32 ones have no scale."""
    return numpy.clip(numpy.rint(array / scale) + zero, -128, 127).astype(kind) if scale else array


def floats(array, scale, zero):
    return (array.astype(numpy.float32) - zero) * scale if scale else array


ENGINES = {"ort": onnxruntime, "ort-int8": onnxruntime, "ov": openvino, "ov-int8": openvino, "tract": tract, "litert": litert,
           "litert-int8": litert, "ov-bf16": lambda *task: openvino(*task, "bf16")}


def main():
    engine, path, given, threads = sys.argv[1:]
    inputs = arrays(given)
    serve(lambda: ENGINES[engine](path, inputs, int(threads)))


if __name__ == "__main__":
    main()
