"""Models in other processes: pickled as the call that made them."""

import copy
import multiprocessing
import pickle

import numpy as np
import pytest

import netc
from conftest import SPECS


def run(model, x):
    return model(x)


def test_a_loaded_model_is_pickled_by_its_path(model, squeezenet, images, monkeypatch, tmp_path):
    assert len(pickle.dumps(model)) < 1000
    monkeypatch.chdir(squeezenet.parent)
    relative = netc.load(squeezenet.name, threads=1)
    monkeypatch.chdir(tmp_path)
    other = pickle.loads(pickle.dumps(relative))
    assert (other.path, other.threads) == (squeezenet, 1)
    assert np.array_equal(other(images[:1]), model(images[:1]))


def test_a_built_model_is_pickled_by_its_spec(monkeypatch, tmp_path):
    monkeypatch.chdir(SPECS)
    model = netc.build("squeezenet1_1.net", exact=True, threads=2)
    monkeypatch.chdir(tmp_path)
    x = np.zeros((1, 227, 227, 3), np.float32)
    assert model.path is None
    assert np.array_equal(pickle.loads(pickle.dumps(model))(x), model(x))


def test_copies_are_the_same_model(model):
    assert copy.copy(model) is model and copy.deepcopy([model])[0] is model


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing(model, images, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    # A forked worker has none of the threads of its parent, which has used the model.
    wanted = [model(images[index : index + 1]) for index in range(4)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        parts = [(model, images[index : index + 1]) for index in range(4)]
        assert all(map(np.array_equal, pool.starmap(run, parts), wanted))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_process_inherits_a_model(model, images):
    wanted = model(images[:2])
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    worker = context.Process(target=lambda: results.put(np.array_equal(model(images[:2]), wanted)))
    worker.start()
    assert results.get(timeout=120)
    worker.join(timeout=60)
    assert worker.exitcode == 0
