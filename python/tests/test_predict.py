"""Calls of a model with arrays: the bits of the program, no copies, and messages."""

import signal
import threading

import numpy as np
import pytest

import netc
from conftest import CAT, SPECS, TWO, program


def message(call, *arguments, **options):
    with pytest.raises(netc.NetcError) as caught:
        call(*arguments, **options)
    return caught.value


def test_the_outputs_have_the_bits_of_the_program(model, squeezenet, images, tmp_path):
    np.save(tmp_path / "x.npy", images)
    done = program("predict", squeezenet, tmp_path / "x.npy", "--threads", 2, "-o", tmp_path / "y.npy")
    assert done.returncode == 0, done.stderr
    wanted = np.load(tmp_path / "y.npy")
    assert wanted.shape == (8, 1000) and wanted.max() > 0.05
    assert np.array_equal(model(images), wanted)
    assert np.array_equal(netc.load(squeezenet, threads=1)(images), wanted)


def test_an_artifact_has_the_bytes_of_the_program(squeezenet, tmp_path):
    done = program("build", SPECS / "squeezenet1_1.net", "-o", tmp_path / "a.netb")
    assert done.returncode == 0, done.stderr
    assert squeezenet.read_bytes() == (tmp_path / "a.netb").read_bytes()


def test_the_facts_of_a_model(model, squeezenet):
    assert [(info.name, info.shape, info.dtype) for info in model.inputs] == [
        ("input-1", (None, 227, 227, 3), "float32")
    ]
    assert [info.shape for info in model.outputs] == [(None, 1000)]
    assert len(model.labels) == 1000 and "tiger cat" in model.labels
    image = model.preprocessing
    assert image == model.inputs[0].preprocessing and str(image).startswith("Image(resize=")
    assert (image.order, image.std) == ("bgr", (1.0, 1.0, 1.0))
    assert (model.name, model.threads, model.path) == ("squeezenet1_1", 2, squeezenet)
    assert model.summary in repr(model) and "squeezenet1_1" in model.source and model.untrained == []


def test_several_inputs_and_outputs_go_by_name():
    model = netc.build(TWO, allow_untrained=True)
    a, b = np.ones((3, 4), np.float32), np.zeros((3, 2, 3), np.float32)
    assert [info.name for info in model.inputs] == ["a", "b"]
    y = model({"b": b, "a": a})
    assert y.shape == (3, 5)
    assert not np.array_equal(y, model({"a": 2 * a, "b": b}))
    assert message(model, a).help == ('call it with a dict of arrays by these names: {"a": …}',)
    assert "there is no array for the input `b`" in str(message(model, {"a": a}))
    wrong = message(model, {"a": a, "bb": b})
    assert "`two` has no input `bb`" in str(wrong) and "`b`" in wrong.help[0]
    assert "`a` has 3 rows, but `b` has 2 rows" in str(message(model, {"a": a, "b": b[:2]}))

    outputs = netc.build("Input(3) as x >> (Tanh as left | Relu as right)")
    x = np.array([[-1, 0, 2]], np.float32)
    y = outputs(x)
    assert list(y) == ["left", "right"] and y["right"].tolist() == [[0, 0, 2]]
    out = {"right": np.empty((1, 3), np.float32), "left": np.empty((1, 3), np.float32)}
    assert outputs(x, out=out) is out and all(np.array_equal(out[name], y[name]) for name in y)
    assert "has 2 outputs, but `out` is one array" in str(message(outputs, x, out=out["left"]))


def test_arrays_are_read_in_place_and_copied_only_if_their_order_asks_for_it(model, images):
    wanted = model(images)
    read_only = images.copy()
    read_only.flags.writeable = False
    assert np.array_equal(model(read_only), wanted)
    # As `x.transpose(0, 2, 3, 1)` makes of the channels-first arrays of other frameworks.
    first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    assert np.array_equal(model(first.transpose(0, 2, 3, 1)), wanted)
    assert np.array_equal(model(images[::-1]), wanted[::-1])
    # Contiguous, but in the order of Fortran, as `columns.T` is.
    assert np.array_equal(model(np.asfortranarray(images)), wanted)
    # Not aligned to the size of a float.
    raw = np.zeros(images.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(np.float32).reshape(images.shape)
    unaligned[...] = images
    assert np.array_equal(model(unaligned), wanted)


def test_a_large_input_is_not_copied():
    tracemalloc = pytest.importorskip("tracemalloc")
    model = netc.build("Input(1000) >> Relu >> Reshape(10x100) >> Flatten", threads=1)
    x = np.random.default_rng(0).normal(size=(4096, 1000)).astype(np.float32)
    out = np.empty_like(x)
    model(x, out=out)
    tracemalloc.start()
    model(x, out=out)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Numpy reports the memory of arrays to tracemalloc.
    assert most < x.nbytes / 100
    assert np.array_equal(out, np.maximum(x, 0))


def test_lists_and_array_likes(model):
    tanh = netc.build("Input(2) >> Tanh")
    assert np.array_equal(tanh([[0, 1]]), tanh(np.array([[0, 1]], np.float32)))

    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.array([[0, 1]], np.float32)

    assert np.array_equal(tanh(Tensor()), tanh([[0, 1]]))
    assert tanh(np.empty((0, 2), np.float32)).shape == (0, 2)


def test_outputs_of_the_caller(model, images):
    wanted = model(images)
    out = np.full((8, 1000), np.nan, np.float32)
    assert model(images, out=out) is out
    assert np.array_equal(out, wanted)
    part = np.zeros((10, 1000), np.float32)
    model(images, out=part[1:9])
    assert np.array_equal(part[1:9], wanted) and not part[0].any() and not part[9].any()

    name = model.outputs[0].name
    start = f"`out` for `{name}` is an array of float32 in C order with the shape [8, 1000]"
    for wrong, has in [
        (np.zeros((8, 999), np.float32), "it has the shape [8, 999]"),
        (np.zeros((8, 1000)), "it has the type float64"),
        (np.zeros((1000, 8), np.float32).T, "it has another order"),
        ([0], "it has the type list"),
    ]:
        error = message(model, images, out=wrong)
        assert error.diagnostics[0].message == start and error.diagnostics[0].notes == (has,)
    raw = np.zeros(out.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(np.float32).reshape(out.shape)
    assert "it has an address" in str(message(model, images, out=unaligned))
    out.flags.writeable = False
    assert "cannot be written" in str(message(model, images, out=out))
    relu = netc.build("Input(3) >> Relu")
    x = np.ones((2, 3), np.float32)
    assert "cannot be written" in str(message(relu, x, out=x))


def test_wrong_types_and_shapes_are_told(model, images):
    for kind, help_has in [(np.float64, "astype"), (np.uint8, "`classify` and `embed`"), (">f4", "astype")]:
        error = message(model, images.astype(kind))
        assert error.code == "E0703"
        assert "for `input-1`, which takes float32" in str(error) and help_has in error.help[0]
    for wrong, name in [(None, "NoneType"), ("x.npy", "str"), (3, "int")]:
        assert f"`input-1` takes an array of float32, not {name}" in str(message(model, wrong))
    error = message(model, images[0])
    assert "has the shape [227, 227, 3], but `input-1` takes (n, 227, 227, 3)" in str(error)
    assert "`x[None]` is a batch of one image" in error.help[0]
    assert "[8, 227, 227]" in str(message(model, images[..., 0]))
    assert isinstance(error, ValueError)
    assert error.diagnostics[0].severity == "error"


def test_many_threads_use_a_model_at_once(squeezenet, images):
    for threads in [1, 2]:
        model = netc.load(squeezenet, threads=threads)
        wanted = model(images)
        wrong = []

        def work(image):
            for _ in range(4):
                if not np.array_equal(model(images[image : image + 1]), wanted[image : image + 1]):
                    wrong.append(image)

        workers = [threading.Thread(target=work, args=(image,)) for image in range(8)]
        [worker.start() for worker in workers]
        [worker.join() for worker in workers]
        assert not wrong


def test_the_interpreter_is_released_while_a_net_computes(squeezenet, images):
    model = netc.load(squeezenet, threads=1)
    many = np.concatenate([images] * 4)
    ended = threading.Event()
    began = threading.Event()

    def work():
        began.set()
        model(many)
        ended.set()

    worker = threading.Thread(target=work)
    worker.start()
    began.wait()
    steps = 0
    while not ended.is_set():
        steps += 1
        if ended.wait(0.001):
            break
    worker.join()
    assert steps > 3


def test_a_large_batch_is_run_in_parts_with_the_same_results():
    # 8192 floats for each of 20000 images are more than are kept at once.
    model = netc.build("Input(16) >> Relu(8192) >> Dense(4)", allow_untrained=True)
    x = np.random.default_rng(0).normal(size=(20000, 16)).astype(np.float32)
    y = model(x)
    for begin in [0, 8190, 19990]:
        assert np.allclose(y[begin : begin + 10], model(x[begin : begin + 10]), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_signals_are_handled_between_the_parts_of_a_batch():
    model = netc.build("Input(16) >> Relu(8192) >> Dense(4)", allow_untrained=True)
    x = np.ones((100_000, 16), np.float32)
    seen = []

    def handler(*_):
        # Also by a handler that uses the model itself.
        seen.append(model(x[:1]).shape)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            for _ in range(1000):
                model(x)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen == [(1, 4)]
    assert model(x[:3]).shape == (3, 4)


def test_a_model_in_bytes_is_calibrated_on_photos(model, tmp_path):
    with pytest.raises(netc.NetcError, match="without calibration samples"):
        netc.build(SPECS / "squeezenet1_1.net", precision="int8")
    with pytest.raises(netc.NetcError, match="is not calibrated"):
        netc.build(SPECS / "squeezenet1_1.net", precision="bf16", calibrate=CAT.parent)
    path = tmp_path / "small.netb"
    small = netc.build(SPECS / "squeezenet1_1.net", precision="int8", calibrate=CAT.parent, out=path)
    assert path.stat().st_size < 2e6
    assert small.classify(CAT)[0].label == model.classify(CAT)[0].label
