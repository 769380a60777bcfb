"""Errors: code, place and help, as exceptions and as lists."""

import pickle
import warnings

import pytest

import netc
from conftest import SPECS, program

WRONG = "net small = Input(8x8x3) >> Conv(3x3, 4) >> Relue\n"


def test_an_error_has_code_place_and_help():
    with pytest.raises(netc.NetcError) as caught:
        netc.build(WRONG)
    error = caught.value
    assert error.code == "E0201"
    assert (error.place.file, error.place.line, error.place.column) == ("expression", 1, 45)
    assert any("Relu" in text for text in error.help), error.help
    fix = error.diagnostics[0].fixes[0]
    assert (fix.replace, fix.by, fix.line, fix.column) == ("Relue", "Relu", 1, 45)
    assert str(error).startswith("error[E0201]") and "Relue" in str(error)
    assert str(error.diagnostics[0]).startswith("expression:1:45: error[E0201]: ")


def test_an_error_survives_pickling():
    with pytest.raises(netc.NetcError) as caught:
        netc.build(WRONG)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value) and copy.diagnostics == caught.value.diagnostics


def test_check_lists_errors_and_warnings(tmp_path):
    assert netc.check(SPECS / "squeezenet1_1.net") == []
    assert [one.code for one in netc.check("squeezenet1_1")] == ["W1008"], "its weights are no part of the package"
    two = netc.check(WRONG + "net other = Input(4) >> Dens(3)\n")
    assert [(one.severity, one.place.line) for one in two] == [("error", 1), ("error", 2)]
    (tmp_path / "a.net").write_text(WRONG)
    (only,) = netc.check(str(tmp_path / "a.net"))
    assert only.place.file == str(tmp_path / "a.net") and only.code == "E0201"
    (missing,) = netc.check(tmp_path / "b.net")
    assert missing.code == "E0002" and missing.place is None


def test_the_place_is_that_of_the_program(tmp_path):
    (tmp_path / "a.net").write_text("netc 1\n\n" + WRONG)
    (only,) = netc.check(tmp_path / "a.net")
    done = program("check", tmp_path / "a.net")
    assert done.returncode == 1 and f"a.net:{only.place.line}:{only.place.column}" in done.stderr


def test_warnings_are_warnings():
    spec = "net used = Input(4) >> Relu >> Relu\nnet unused = Relu\n"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        netc.build(spec, net="used")
    assert all(issubclass(one.category, netc.NetcWarning) and one.filename == __file__ for one in caught)
    assert any("warning[W1003]" in str(one.message) for one in caught), [str(one.message) for one in caught]


def test_files_that_are_no_artifacts(tmp_path, squeezenet):
    for content, code in [(b"text", "E0901"), (squeezenet.read_bytes()[:5000], "E0903")]:
        (tmp_path / "a.netb").write_bytes(content)
        with pytest.raises(netc.NetcError) as caught:
            netc.load(tmp_path / "a.netb")
        assert caught.value.code == code, caught.value
    with pytest.raises(netc.NetcError, match="there is no such file"):
        netc.load(tmp_path / "b.netb")


def test_verify_finds_damage(tmp_path, squeezenet):
    netc.load(squeezenet).verify()
    content = bytearray(squeezenet.read_bytes())
    content[-100_000] ^= 1
    (tmp_path / "damaged.netb").write_bytes(content)
    model = netc.load(tmp_path / "damaged.netb")
    with pytest.raises(netc.NetcError, match="a checksum of its constants is wrong"):
        model.verify()


def test_verify_compares_with_the_reference():
    (output,) = netc.verify("Input(12x12x3) >> Conv(3x3, 8) >> Relu >> Flatten >> Softmax(5)", batch=3)
    assert output.error < 1e-5 and output.same_top5


def test_nothing_is_overwritten_by_mistake(tmp_path):
    (tmp_path / "a.net").write_text("net small = Input(3) >> Relu\n")
    with pytest.raises(netc.NetcError, match="this would overwrite"):
        netc.build(tmp_path / "a.net", out=tmp_path / "a.net")
    assert (tmp_path / "a.net").read_text().startswith("net small")


def test_wrong_arguments_are_told():
    for threads in [0, -1]:
        with pytest.raises(ValueError, match=f"threads={threads} is not between 1 and 1024"):
            netc.build("Input(3) >> Relu", threads=threads)
    with pytest.raises(ValueError, match="precision='f16'"):
        netc.build("Input(3) >> Relu", precision="f16")
    with pytest.raises(netc.NetcError) as caught:
        netc.build("Input(3) >> Dense(4)")
    assert "come from no file" in str(caught.value)


def test_show_has_a_table_a_picture_and_the_layers():
    drawing = netc.show("squeezenet1_1")
    assert str(drawing).startswith("(?, 227, 227, 3) -> [... 66 layers ...] -> (?, 1000)\n")
    assert drawing._repr_svg_().lstrip().startswith("<svg") and len(drawing.layers) == 66
    assert drawing.layers[0]["name"] == "input-1"
    assert [layer["name"] for layer in netc.show("squeezenet1_1[-2..]").layers] == [
        layer["name"] for layer in drawing.layers[-2:]
    ]
    with pytest.raises(netc.NetcError):
        netc.show(WRONG)
