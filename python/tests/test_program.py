"""The script `netc` of the wheel."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import netc
from conftest import SPECS, program, start


def test_results_go_to_stdout_and_errors_to_stderr():
    done = program("--version")
    assert (done.returncode, done.stdout) == (0, f"netc {netc.__version__}\n")
    done = program("check", SPECS / "bird.net")
    assert done.returncode == 0 and done.stdout.startswith("bird: ")
    done = program("check", "Input(3) >> Relue")
    assert done.returncode == 1 and "E0201" in done.stderr and not done.stdout
    assert program("no-such-command").returncode == 2


def test_the_module_runs_the_program():
    done = subprocess.run([sys.executable, "-m", "netc", "--version"], capture_output=True, text=True)
    assert done.stdout == f"netc {netc.__version__}\n"


def test_a_closed_pipe_ends_it_quietly():
    script = Path(sys.executable).with_name("netc")
    done = subprocess.run(f"{script} help --all | head -1", shell=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr and "panicked" not in done.stderr


def is_running_the_program(process):
    """Whether the interpreter has loaded the module and no longer catches Ctrl-C itself."""
    folder = Path("/proc") / str(process.pid)
    caught = re.search(r"SigCgt:\s*(\w+)", (folder / "status").read_text())
    return "_netc" in (folder / "maps").read_text() and not int(caught[1], 16) >> signal.SIGINT - 1 & 1


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc here")
def test_ctrl_c_ends_it():
    script = Path(sys.executable).with_name("netc")
    # It waits for a spec on stdin.
    process = start(script, "check", "-", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    while not is_running_the_program(process):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT and b"Traceback" not in errors
