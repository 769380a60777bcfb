"""Training as an iterator: the results of the program, and runs that are stopped and continued."""

import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import netc
from conftest import CAT, SPECS, program, start

SPEC = """
net small = Input(6) >> Relu(12) as hidden >> Softmax(3) as kind
train small {
  data      = arrays("data.npz", x="x", y="y")
  optimizer = Momentum(step=0.05)
  epochs    = 6
  batch     = 8
  seed      = 7
}
"""


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, 96)
    x = rng.normal(size=(96, 6)).astype(np.float32) + np.eye(3, 6, dtype=np.float32)[y] * 2
    np.savez(tmp_path / "data.npz", x=x, y=y)
    (tmp_path / "small.net").write_text(SPEC)
    return tmp_path


def copy_of(folder, name):
    other = folder.parent / name
    shutil.copytree(folder, other)
    return other


def test_epochs_and_files_are_those_of_the_program(folder):
    other = copy_of(folder, "program")
    done = program("train", other / "small.net")
    assert done.returncode == 0, done.stderr
    training = netc.train(folder / "small.net")
    assert (training.net, training.epochs, training.samples, training.validation_samples) == ("small", 6, 96, 0)
    epochs = list(training)
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    assert epochs[-1].loss < epochs[0].loss and "accuracy" in epochs[0].metrics
    assert all(isinstance(epoch, netc.Epoch) and epoch.validation_loss is None for epoch in epochs)
    result = training.result
    assert result.weights.read_bytes() == (other / "small.h5").read_bytes()
    assert result.artifact.read_bytes() == (other / "small.netb").read_bytes()
    assert (result.folder / "report.html").exists() and result.stopped == "all 6 epochs are done"
    assert netc.load(result.artifact)(np.zeros((1, 6), np.float32)).shape == (1, 3)
    assert list(training) == [] and training.interrupted is None


def test_a_loop_that_is_left_stops_the_run_and_resume_ends_with_the_same_weights(folder):
    whole = copy_of(folder, "whole")
    wanted = netc.train(whole / "small.net").finish().weights.read_bytes()
    for epoch in netc.train(folder / "small.net"):
        if epoch.epoch == 2:
            break
    assert not (folder / "small.h5").exists()
    epochs = list(netc.train(folder / "small.net", resume=True))
    assert [epoch.epoch for epoch in epochs] == [3, 4, 5, 6]
    assert (folder / "small.h5").read_bytes() == wanted


def test_an_epoch_is_trained_only_when_it_is_asked_for(folder):
    training = netc.train(folder / "small.net")
    assert next(training).epoch == 1
    time.sleep(0.3)
    training.close()
    assert training.interrupted.startswith("in epoch 2 of 6, after 0 of 96 samples")
    assert training.result is None and list(training) == []
    with pytest.raises(RuntimeError, match="stopped before its last epoch"):
        training.finish()
    training.close()


def test_a_with_block_stops_the_run_at_an_exception(folder):
    with pytest.raises(ZeroDivisionError), netc.train(folder / "small.net") as training:
        next(training)
        1 / 0
    assert training.interrupted
    assert [epoch.epoch for epoch in netc.train(folder / "small.net", resume=True)] == [2, 3, 4, 5, 6]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_no_run(folder):
    code = """
import netc, os, signal
training = netc.train("small.net")
next(training)
child = os.fork()
if child == 0:
    signal.alarm(60)
    training.close()
    try:
        next(training)
    except RuntimeError as error:
        del training
        os._exit(7 if "forked" in str(error) else 8)
    os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), next(training).epoch)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.stdout == "7 2\n", done


def test_another_thread_can_stop_a_run(folder):
    training = netc.train(folder / "small.net", settings={"epochs": 10**6})
    begun = threading.Event()
    stopper = threading.Thread(target=lambda: (begun.wait(), training.close()))
    stopper.start()
    for _ in training:
        begun.set()
    stopper.join()
    assert training.result is None and "of 1000000" in training.interrupted


def test_ctrl_c_stops_a_run_and_keeps_its_checkpoint(folder):
    code = """
import netc, sys
try:
    for epoch in netc.train("small.net", settings={"epochs": 10**6}):
        if epoch.epoch == 3: print("go", flush=True)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
    process = start(sys.executable, "-c", code, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "go\n"
        os.kill(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, out) == (0, "stopped\n")
    training = netc.train(folder / "small.net", settings={"epochs": 10**6}, resume=True)
    assert next(training).epoch >= 3
    training.close()


def test_settings_replace_entries_of_the_recipe(folder):
    settings = {"epochs": 2, "optimizer.step": 0.01, "shuffle": False, "metrics": ["accuracy", "f1"]}
    training = netc.train(folder / "small.net", settings=settings)
    assert training.epochs == 2
    epochs = list(training)
    assert [epoch.step for epoch in epochs] == [pytest.approx(0.01)] * 2
    assert {"accuracy", "f1"} <= epochs[0].metrics.keys()
    with pytest.raises(netc.NetcError) as caught:
        netc.train(folder / "small.net", settings={"epoch": 2})
    assert "epochs" in str(caught.value)


def test_errors_come_before_training_and_during_it(folder):
    with pytest.raises(netc.NetcError, match="data.npz|no_such"):
        netc.train(folder / "small.net", settings={"data": 'arrays("no_such.npz", x="x", y="y")'})
    with pytest.raises(netc.NetcError, match="checkpoint"):
        netc.train(folder / "small.net", resume=True).finish()
    with pytest.raises(netc.NetcError) as caught:
        netc.train(folder / "small.net", settings={"optimizer.step": 1e30}).finish()
    assert caught.value.code.startswith("E") and "loss" in str(caught.value)
    with pytest.raises(netc.NetcError, match="recipe"):
        netc.train("Input(3) >> Softmax(2)")


def test_a_run_that_is_over_names_one_that_trains_the_net(folder):
    first = netc.train(folder / "small.net")
    next(first)
    with pytest.raises(netc.NetcError, match="is being trained"):
        next(netc.train(folder / "small.net"))
    first.close()


def test_a_head_on_frozen_features(tmp_path):
    shutil.copytree(SPECS / "samples", tmp_path / "samples")
    shutil.copy(SPECS / "clothing.net", tmp_path)
    training = netc.train(tmp_path / "clothing.net", settings={"epochs": 3}, cache=tmp_path / "cache")
    assert len(training.labels) == 10 and training.validation_samples == 100
    epochs = list(training)
    assert all(math.isfinite(epoch.validation_loss) and 0 <= epoch.validation["accuracy"] <= 1 for epoch in epochs)
    assert any((tmp_path / "cache").iterdir())
    assert len(netc.load(training.result.artifact).classify(CAT)) == 5
