"""Embeds a folder of photos on a Ray cluster and writes the features with the photos' paths as Parquet.

    python embed_with_ray.py squeezenet.netb photos/ features/ --workers 4

Each worker is a process that maps the artifact once; the workers of a machine share its pages. When one dies, Ray starts
another and gives it the batches that were lost.
"""

import argparse
from pathlib import Path

import ray

import netc


class Embed:
    """A worker.

    Parameters
    ----------
    model : str
        The artifact, at the same path on every machine.
    threads : int
        As many as the processors that Ray reserves for it (`num_cpus`).
    """

    def __init__(self, model: str, threads: int) -> None:
        self.model = netc.load(model, threads=threads)

    def __call__(self, batch: dict) -> dict:
        # Decodes on all threads, then runs the net on the whole batch.
        return {"path": batch["path"], "embedding": self.model.embed(batch["path"], batch=len(batch["path"]))}


def embed(model, folder, out, *, workers=2, threads=1, batch=16, worker=Embed):
    """Embed the photos below a folder.

    Parameters
    ----------
    model, folder, out : str or path
        The artifact, the folder of the photos, and the folder for the Parquet files.
    workers, threads, batch : int
        The number of processes, of threads in each, and of photos in a batch.
    worker : class
        What each process runs.
    """
    endings = {".jpg", ".jpeg", ".png"}
    paths = sorted(path for path in Path(folder).resolve().rglob("*") if path.suffix.lower() in endings)
    photos = ray.data.from_items([{"path": str(path)} for path in paths])
    features = photos.map_batches(
        worker,
        fn_constructor_kwargs={"model": str(Path(model).resolve()), "threads": threads},
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=threads,
        batch_size=batch,
        batch_format="numpy",
    )
    features.write_parquet(str(Path(out).resolve()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Embed a folder of photos on a Ray cluster.")
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    embed(**vars(parser.parse_args()))
