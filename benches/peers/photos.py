#!/usr/bin/env python3
"""Photos a second, from JPEG files to predictions, by netc and by pipelines that people build.

  photos.py --kit KIT --photos FOLDER [--models squeezenet1_1,resnet50] [--peers torch,torch-io,opencv] [--threads 2] [--rounds 5]

Every pass reads all files of the folder. netc's is a process of `netc predict` from its start on; the others (pipelines.py) are
measured without the start of Python, of their workers and the loading of the network. Agreement is that of the most likely class with
netc's; resizing differs between the pipelines, and random weights make close calls.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

import networks
from workers import (
    HERE,
    Netc,
    Worker,
    absolute,
    add_kit,
    environment,
    find_kit,
    in_turn,
    machine,
    started,
    temporary,
    words,
)

ENDINGS = (".jpg", ".jpeg")
CLASSES = 1000
BATCH = 8


class Predict(Netc):
    """`netc predict` on all photos, a process each time."""

    def __init__(self, args, artifact, files, folder):
        self.peer, self.times, self.output = "netc", [], folder / "netc.npz"
        self.command = [args.netc, "predict", artifact, *files, "--batch", str(BATCH), "--threads", str(args.threads), "-o", self.output, "-q"]
        self.run(1)
        self.times.clear()

    def run(self, count):
        for _ in range(count):
            began = time.perf_counter()
            subprocess.run(self.command, check=True, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.times.append((time.perf_counter() - began) * 1e3)


class Pipeline(Worker):
    def __init__(self, args, name, net, listed, folder):
        command = [args.python, HERE / "pipelines.py", name, args.kit, net.path, listed, str(BATCH), str(args.threads)]
        # Threads that wait sleep: spinning, they would take the time of the processes that decode.
        super().__init__(name, command, environment(args.threads, OMP_WAIT_POLICY="PASSIVE"), folder)

    def run(self, count):
        self.times += self.ask(f"run {count}")


def main():
    args = arguments()
    files = sorted(str(file) for file in args.photos.rglob("*") if file.suffix.lower() in ENDINGS)
    if not files:
        sys.exit(f"{args.photos} has no photos")
    told = machine(args, args.threads)
    print("# " + ", ".join(told.values()), flush=True)
    results = [compared(args, networks.network(args, name), files) for name in args.models]
    if args.json:
        args.json.write_text(json.dumps({"machine": told, "photos": len(files), "results": results}, indent=1) + "\n")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_kit(parser)
    parser.add_argument("--photos", type=absolute, required=True, metavar="FOLDER", help="JPEG files, at any depth")
    parser.add_argument("--models", type=words, default=["squeezenet1_1", "resnet50"])
    parser.add_argument("--peers", type=words, default=["torch", "torch-io", "opencv"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--build", type=words, default=[], help="options for netc build")
    parser.add_argument("--json", type=pathlib.Path, help="write all results there")
    return find_kit(parser, parser.parse_args())


def compared(args, net, files):
    with temporary() as name:
        folder = pathlib.Path(name)
        listed = folder / "photos.json"
        listed.write_text(json.dumps(files))
        peers = [Predict(args, networks.artifact(args, net), files, folder)]
        peers += [started(lambda name=name: Pipeline(args, name, net, listed, folder), name) for name in args.peers]
        peers = [peer for peer in peers if peer]
        likely = [classes(peer.result()) for peer in peers]
        in_turn(args.rounds, peers, lambda peer: peer.run(1))
        rows = []
        for peer, its in zip(peers, likely):
            rates = [1e3 * len(files) / ms for ms in peer.times]
            rows.append({"peer": peer.peer, "median": statistics.median(rates), "fastest": max(rates),
                         "agreement": sum(map(int.__eq__, its, likely[0])) / len(files)})
            peer.close()
    print(f"\n{net.name}, {len(files)} photos, {args.threads} threads, {args.rounds} rounds: photos a second")
    print(f"{'peer':14} {'median':>8} {'fastest':>8} {'netc / it':>9} {'same class':>10}")
    for row in rows:
        print(f"{row['peer']:14} {row['median']:8.1f} {row['fastest']:8.1f} {rows[0]['median'] / row['median']:9.2f} "
              f"{row['agreement']:10.1%}", flush=True)
    return {"model": net.name, "threads": args.threads, "rows": rows}


def classes(scores):
    """The most likely of each photo."""
    rows = (scores[at:at + CLASSES] for at in range(0, len(scores), CLASSES))
    return [max(range(CLASSES), key=row.__getitem__) for row in rows]


if __name__ == "__main__":
    main()
