"""The stubs say what the module has."""

import subprocess
import sys

import pytest


def test_stubs_are_those_of_the_module():
    pytest.importorskip("mypy")
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "netc._netc", "--concise"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_function_has_a_docstring():
    import netc

    for name in netc.__all__:
        if name != "__version__":
            assert getattr(netc, name).__doc__, name
    for owner in [netc.Model, netc.Training]:
        for name, member in vars(owner).items():
            if not name.startswith("_"):
                assert member.__doc__, (owner, name)
