"""The example for Ray, on a local cluster of several processes, one of which is killed."""

import importlib.util
import os
import re
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import netc
from conftest import CLOTHING, SPECS

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'netc[ray]'")
pytest.importorskip("ray.data", reason="Ray Data is not installed: pip install 'netc[ray]'")

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "embed_with_ray.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("embed_with_ray", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["embed_with_ray"] = module
    spec.loader.exec_module(module)
    # The workers have no such file on their path: they get the classes by value.
    ray.cloudpickle.register_pickle_by_value(module)
    return module


@pytest.fixture(scope="module")
def cluster():
    # Without its dashboard, and with more slots than processors, as it is to have several processes.
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=200 << 20)
    yield
    ray.shutdown()


def rows_of(folder):
    """The rows of all Parquet files."""
    import pyarrow.parquet

    return [row for file in sorted(Path(folder).glob("*.parquet")) for row in pyarrow.parquet.read_table(file).to_pylist()]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """A net with more constants than are copied from a file instead of mapped."""
    path = tmp_path_factory.mktemp("ray") / "features.netb"
    weights = {"squeezenet1_1": SPECS / "samples" / "squeezenet1_1.hdf5"}
    spec = "squeezenet1_1[..conv10] >> GlobalPool(avg) >> Relu(8192) >> Dense(64)"
    netc.build(spec, weights=weights, allow_untrained=True, out=path)
    return path


def check(rows, artifact):
    paths = sorted(CLOTHING.rglob("*.jpg"))
    assert len(paths) == 700
    assert sorted(row["path"] for row in rows) == [str(path) for path in paths], "nothing lost, nothing twice"
    model = netc.load(artifact)
    wanted = dict(zip(map(str, paths), model.embed(paths), strict=True))
    for row in rows:
        assert np.allclose(row["embedding"], wanted[row["path"]], rtol=1e-4, atol=1e-6), row["path"]


def test_a_folder_of_photos(example, cluster, artifact, tmp_path):
    example.embed(artifact, CLOTHING, tmp_path / "features", workers=2)
    check(rows_of(tmp_path / "features"), artifact)


def test_a_worker_that_is_killed_loses_nothing(example, cluster, artifact, tmp_path):
    died = tmp_path / "died"

    class Mortal(example.Embed):
        """Dies in its second batch, unless another one has died."""

        def __call__(self, batch):
            self.batches = getattr(self, "batches", 0) + 1
            if self.batches == 2:
                try:
                    os.close(os.open(died, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    pass
                else:
                    os.kill(os.getpid(), signal.SIGKILL)
            maps = Path("/proc/self/maps").read_text()
            count = len(batch["path"])
            # The file is mapped once, whatever the number of batches.
            mapped = len(re.findall(rf"{re.escape(self.model.path.name)}$", maps, re.MULTILINE))
            return super().__call__(batch) | {"process": [os.getpid()] * count, "mapped": [mapped] * count}

    example.embed(artifact, CLOTHING, tmp_path / "features", workers=2, batch=8, worker=Mortal)
    assert died.exists()
    rows = rows_of(tmp_path / "features")
    check(rows, artifact)
    assert len({row["process"] for row in rows}) >= 2
    assert {row["mapped"] for row in rows} == {1}


def test_read_only_batches_are_read_in_place(model, images, cluster):
    @ray.remote
    def run(model, x):
        # Ray maps arrays from its store, which nobody may change.
        return x.flags.writeable, model(x)

    writeable, y = ray.get(run.remote(model, ray.put(images[:2])))
    assert not writeable and np.array_equal(y, model(images[:2]))
