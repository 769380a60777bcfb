"""What the tests share: the shipped net with real weights, and photos."""

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import netc

ROOT = Path(__file__).resolve().parents[2]
SPECS = ROOT / "specs"
CAT = SPECS / "samples" / "chelsea.png"
PHOTOS = ROOT / "tests" / "data" / "photos"
CLOTHING = SPECS / "samples" / "clothing"

TWO = """
net two = (Input(4) as a | Input(2x3) as b >> Flatten) >> Concatenate >> Dense(5) as mixed >> Tanh as t
"""


def program(*arguments, **options):
    """Run the installed script `netc`."""
    script = Path(sys.executable).with_name("netc")
    return subprocess.run([script, *map(str, arguments)], capture_output=True, text=True, **options)


def start(*command, **options):
    """Start a process that Ctrl-C reaches, also where it is ignored, as in the background of a shell."""
    reset = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(list(map(str, command)), preexec_fn=reset, **options)


@pytest.fixture(scope="session")
def squeezenet(tmp_path_factory):
    """The artifact of SqueezeNet 1.1 with its ImageNet weights."""
    path = tmp_path_factory.mktemp("artifacts") / "squeezenet.netb"
    netc.build(SPECS / "squeezenet1_1.net", out=path)
    return path


@pytest.fixture(scope="session")
def model(squeezenet):
    return netc.load(squeezenet, threads=2)


@pytest.fixture(scope="session")
def images():
    """Eight random images of SqueezeNet's input."""
    return np.random.default_rng(1).uniform(-100, 150, (8, 227, 227, 3)).astype(np.float32)
