"""Photos in all forms that Python programs have them in."""

import json

import numpy as np
import pytest
from PIL import Image

import netc
from conftest import CAT, CLOTHING, PHOTOS, program

UNIT = "Input(8x8x3, image=Unit) >> Flatten"


def test_the_classes_of_a_photo_are_those_of_the_program(model, squeezenet):
    found = model.classify(CAT)
    assert [label for label, _ in found] == ["tiger cat", "Egyptian cat", "tabby", "lynx", "leopard"]
    done = program("predict", squeezenet, CAT, "--format", "json")
    assert done.returncode == 0, done.stderr
    (wanted,) = json.loads(done.stdout)
    pairs = [(one["label"], np.float32(one["probability"])) for one in wanted["top"]]
    assert pairs == [(label, np.float32(score)) for label, score in found]


def test_a_photo_in_every_form_gives_the_same_bits(model):
    wanted = model.embed(str(CAT))
    assert wanted.shape == (1000,) and wanted.dtype == np.float32
    with Image.open(CAT) as picture:
        pixels = np.asarray(picture.convert("RGB"))
        forms = {
            "path": CAT,
            "bytes": CAT.read_bytes(),
            "bytearray": bytearray(CAT.read_bytes()),
            "memoryview": memoryview(CAT.read_bytes()),
            "image": picture,
            "pixels": pixels,
            "pixels of another order": np.asfortranarray(pixels),
            "with transparency": np.dstack([pixels, pixels[..., 0]]),
        }
        for name, form in forms.items():
            assert np.array_equal(model.embed(form), wanted), name
    several = model.embed([CAT, pixels, CAT.read_bytes()], batch=2)
    assert several.shape == (3, 1000) and np.array_equal(several[1], several[2])
    assert np.array_equal(model.embed(np.stack([pixels, pixels])), several[:2])
    assert np.array_equal(model.embed(np.array([str(CAT)])), several[:1])
    assert model.embed([]).shape == (0, 1000)
    assert [found[0].label for found in model.classify([CAT, CAT], top=1)] == ["tiger cat"] * 2
    for arguments in [{"top": 0}, {"top": -1}, {"batch": 0}]:
        with pytest.raises(ValueError, match="is not a positive number"):
            model.classify(CAT, **arguments)


@pytest.mark.parametrize("name", ["gray.png", "palette.png", "alpha.png", "turned.jpg", "turned.png", "gray.jpg", "cmyk.jpg"])
def test_pictures_of_pillow_are_read_as_their_files(name):
    model = netc.build(UNIT)
    with Image.open(PHOTOS / name) as picture:
        assert np.allclose(model.embed(picture), model.embed(PHOTOS / name), atol=1.01 / 255), name


def test_pictures_of_more_than_8_bits_are_not_clipped(tmp_path):
    model = netc.build("Input(8x8x1, image=Unit) >> Flatten")
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(values).save(tmp_path / "gray16.png")
    wanted = model.embed(tmp_path / "gray16.png")
    assert wanted.max() == 1
    assert np.array_equal(model.embed(Image.fromarray(values)), wanted)
    upper = (values >> 8).astype(np.uint8)
    for kind in [np.int32, np.float32]:
        assert np.array_equal(model.embed(Image.fromarray(upper.astype(kind))), wanted)
        with pytest.raises(ValueError, match="with values from 0.* to 65535.*: scale them"):
            model.embed(Image.fromarray(values.astype(kind)))


def test_a_batch_is_decoded_in_order(model):
    photos = sorted(CLOTHING.glob("train/*/*"))[:20]
    together = model.embed(photos, batch=8)
    for index in [0, 7, 8, 19]:
        assert np.allclose(together[index], model.embed(photos[index]), atol=1e-6)


def test_what_is_wrong_with_photos_is_told(model, tmp_path):
    (tmp_path / "text.jpg").write_text("no photo")
    with pytest.raises(netc.NetcError) as caught:
        model.embed([CAT, tmp_path / "text.jpg", tmp_path / "missing.jpg", b"\x89PNG\r\n\x1a\n"])
    texts = [diagnostic.message for diagnostic in caught.value.diagnostics]
    assert len(texts) == 3 and "text.jpg" in texts[0] and "no such file" in texts[1] and "photo 3" in texts[2]
    for wrong in [3, [3], np.zeros((2, 2), np.float32), [None], object()]:
        with pytest.raises(TypeError, match="a photo is a path, the bytes of a file, a PIL image, or an array of uint8"):
            model.embed(wrong)
    with pytest.raises(TypeError, match=r"not an array of float32 with the shape \[5, 6, 3\]"):
        model.embed(np.zeros((5, 6, 3), np.float32))
    with open(CAT, "rb") as file, pytest.raises(TypeError, match=r"not BufferedReader, whose bytes `read\(\)` gives"):
        model.embed(file)
    with pytest.raises(netc.NetcError, match="with 1, 3 or 4 channels, not 2 channels"):
        model.embed(np.zeros((5, 5, 2), np.uint8))


def test_nets_that_take_no_photos_or_have_no_classes():
    with pytest.raises(netc.NetcError, match="does not say how a photo becomes its input") as caught:
        netc.build("Input(8x8x3) >> Flatten").embed(CAT)
    assert "image=" in caught.value.help[0]
    with pytest.raises(netc.NetcError, match="has no classes"):
        netc.build(UNIT).classify(CAT)


def test_labels_of_the_spec_name_classes(tmp_path):
    spec = 'net one = Input(8x8x3, image=Unit) >> GlobalPool(avg) >> Softmax as s\nlabels one = ["red", "green", "blue"]\n'
    model = netc.build(spec)
    assert model.labels == ["red", "green", "blue"]
    blue = np.zeros((9, 9, 3), np.uint8)
    blue[..., 2] = 255
    found = model.classify(blue, top=2)
    assert found[0].label == "blue" and len(found) == 2 and 0.5 < found[0].score < 0.6
    unnamed = netc.build("Input(8x8x3, image=Unit) >> GlobalPool(avg) >> Softmax")
    assert unnamed.classify(blue, top=1)[0].label == "2"


def test_outputs_that_are_no_numbers_are_refused(tmp_path):
    # Weights so large that the second layer subtracts two infinities.
    spec = "net two = Input(8x8x3, image=Unit) >> GlobalPool(avg) >> Dense(2) as huge >> Dense(1) as end"
    weights = {
        "huge/weight": np.full((2, 3), 3e38, np.float32),
        "huge/bias": np.full(2, 3e38, np.float32),
        "end/weight": np.array([[1, -1]], np.float32),
        "end/bias": np.zeros(1, np.float32),
    }
    write_safetensors(tmp_path / "two.safetensors", weights)
    model = netc.build(spec, weights={"two": tmp_path / "two.safetensors"})
    with pytest.raises(netc.NetcError, match="chelsea.png: the net's output is not a finite number") as caught:
        model.embed(CAT)
    assert "the first layer whose output has infinite values or NaN is `huge`" in caught.value.diagnostics[0].notes
    assert np.isnan(model(np.ones((1, 8, 8, 3), np.float32))).all(), "arrays are returned as they are"


def write_safetensors(path, tensors):
    header, values = {}, b""
    for name, tensor in tensors.items():
        begin = len(values)
        values += tensor.tobytes()
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [begin, len(values)]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + values)
