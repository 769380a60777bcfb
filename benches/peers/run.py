#!/usr/bin/env python3
"""netc and its peers, side by side on the same inputs.

  run.py --kit KIT [--models a,b|reach] [--peers p,q] [--batches 1,8,32] [--threads 1,2]   time per image
  run.py --kit KIT --precision int8 --calibrate PHOTOS | --precision bf16               the same in other number formats
  run.py --kit KIT --cold 5                                                             start to first result, memory
  run.py --kit KIT --train head|full|block5|resnet50|mobilenet_v2 [--batch B]           time of a training step
  run.py --kit KIT --errors                                                             outputs against float64
  run.py --growth OUT.svg                                                               how netc's cost grows

KIT is the folder of the peers' benchmark (`bench_peers.py`, its `models/`); the environment variable NETC_PEERS names it
too. The peers run under its Python (`--python`), in processes of their own, in turn with netc: A B C A B C. Each netc
round is a fresh process of `netc bench`. README.md says how to set the kit up.
"""
import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys

import growth
import networks
import training
from workers import (
    absolute,
    add_kit,
    difference,
    environment,
    find_kit,
    floats,
    in_turn,
    machine,
    netc_bench,
    started,
    temporary,
    words,
)

# Peers differ from each other by less than this in f32, relative to the largest output.
AGREE = 2e-4
PEERS = {"f32": ["ncnn", "mnn", "ort", "ov", "tract", "litert"], "int8": ["ort-int8", "ov-int8", "litert-int8"],
         "bf16": ["ov-bf16", "torch-bf16"]}
REACH_PEERS = {"f32": ["ort", "ov", "tract"], "bf16": ["ov-bf16"]}


def main():
    args = arguments()
    if args.growth:
        return growth.draw(args)
    told = machine(args, args.threads[-1])
    print("# " + ", ".join(told.values()), flush=True)
    if args.train:
        return training.train(args)
    results = []
    for name in args.models:
        net = networks.network(args, name)
        if args.errors:
            errors(args, net)
            continue
        for threads in args.threads:
            if args.cold:
                results.append(cold(args, net, threads))
                continue
            for batch in args.batches:
                results.append(steady(args, net, batch, threads))
    if args.json:
        args.json.write_text(json.dumps({"machine": told, "results": results}, indent=1) + "\n")
    if args.cold or args.errors:
        return 0
    summary(results)
    rows = [row for result in results for row in result["rows"]]
    wrong = [row for row in rows if args.precision == "f32" and not row["error"] < AGREE]
    for row in wrong:
        print(f"{row['peer']} disagrees: error {row['error']:.1e}", file=sys.stderr)
    return 1 if wrong else 0


def arguments():
    numbers = lambda text: [int(number) for number in text.split(",")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_kit(parser)
    parser.add_argument("--models", type=words, default=networks.KIT, help="of specs/, shipped ones, or `reach`, a list of the latter")
    parser.add_argument("--peers", type=words)
    parser.add_argument("--batches", type=numbers, default=[1, 8, 32])
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.6, help="of each peer in each round")
    parser.add_argument("--precision", choices=list(PEERS), default="f32")
    parser.add_argument("--calibrate", type=absolute, metavar="PHOTOS", help="the folder by which int8 measures the ranges of activations")
    parser.add_argument("--build", type=words, default=[], help="options for netc build, such as --build=--tune")
    parser.add_argument("--cold", type=int, metavar="PROCESSES", default=0)
    parser.add_argument("--train", choices=list(training.PEERS))
    parser.add_argument("--trainer", type=absolute, metavar="PROGRAM", help="benches/train.rs as a program; default: compiled now")
    parser.add_argument("--errors", action="store_true", help="the largest errors against float64, of the first batch size")
    parser.add_argument("--batch", type=int, default=8, help="of --train, except of the head")
    parser.add_argument("--growth", type=pathlib.Path, metavar="SVG")
    parser.add_argument("--json", type=pathlib.Path, help="write all results there")
    args = parser.parse_args()
    args.models = [name for given in args.models for name in (networks.REACH if given == "reach" else [given])]
    return args if args.growth else find_kit(parser, args)


def peers_of(args, net):
    return args.peers or (REACH_PEERS if net.shipped else PEERS).get(args.precision, [])


def contestants(args, net, batch, threads, folder):
    """netc and those of the peers that are installed."""
    peers = [networks.netc(args, net, batch, threads, folder, args.precision)]
    peers += [started(lambda name=name: networks.engine(args, name, net, batch, threads, folder), name) for name in peers_of(args, net)]
    return [peer for peer in peers if peer]


# ------------------------------------------------------------------------------------------------ time per image
def steady(args, net, batch, threads):
    with temporary() as name:
        folder = pathlib.Path(name)
        expected = networks.netc(args, net, batch, threads, folder).result()
        peers = contestants(args, net, batch, threads, folder)
        for peer in peers:
            peer.error = difference(peer.result(), expected)
        in_turn(args.rounds, peers, lambda peer: peer.run(max(1, min(100, round(1e3 * args.seconds / peer.estimate)))))
        rows = []
        for peer in peers:
            quarters = statistics.quantiles(peer.times, n=4) if len(peer.times) > 1 else peer.times * 3
            rows.append({"peer": peer.peer, "median_ms": quarters[1] / batch, "low_ms": quarters[0] / batch,
                             "high_ms": quarters[2] / batch, "fastest_ms": min(peer.times) / batch, "runs": len(peer.times),
                             "peak_mb": peer.peak, "error": peer.error})
            peer.close()
    print(f"\n{net.name}, {args.precision}, batch {batch}, {threads} thread{'s' * (threads > 1)}, {args.rounds} rounds: ms per image")
    print(f"{'peer':14} {'median':>9} {'25 %':>9} {'75 %':>9} {'fastest':>9} {'x netc':>7} {'runs':>5} {'peak MB':>8} {'error':>8}")
    for row in rows:
        print(f"{row['peer']:14} {row['median_ms']:9.3f} {row['low_ms']:9.3f} {row['high_ms']:9.3f} {row['fastest_ms']:9.3f} "
              f"{row['median_ms'] / rows[0]['median_ms']:7.2f} {row['runs']:5} {row['peak_mb']:8.0f} {row['error']:8.1e}", flush=True)
    return {"kind": "steady", "model": net.name, "precision": args.precision, "batch": batch, "threads": threads, "rows": rows}


def summary(results):
    """All medians as a table in Markdown."""
    peers = list(dict.fromkeys(row["peer"] for result in results for row in result["rows"]))
    print("\n| model | batch | threads | " + " | ".join(peers) + " | best peer / netc |\n" + "|---" * (len(peers) + 4) + "|")
    for result in results:
        medians = {row["peer"]: row["median_ms"] for row in result["rows"]}
        others = [median for peer, median in medians.items() if peer != "netc"]
        ratio = f"{min(others) / medians['netc']:.2f}" if others and "netc" in medians else ""
        cells = [f"{medians[peer]:.2f}" if peer in medians else "" for peer in peers]
        print(f"| {result['model']} | {result['batch']} | {result['threads']} | " + " | ".join(cells) + f" | {ratio} |")


# ------------------------------------------------------------------------------------------------ cold start
def cold(args, net, threads):
    rows = {}
    artifact = networks.artifact(args, net, args.precision)
    with temporary() as name:
        folder = pathlib.Path(name)
        x = networks.inputs(args, net, 1, folder)
        for _ in range(args.cold):
            told, seconds = netc_bench(args, artifact, x, 1, threads, 0)
            rows.setdefault("netc", []).append((seconds, told["process"]["peak_bytes"] / 2**20, told["process"]["private_bytes"] / 2**20))
            for peer in peers_of(args, net):
                worker = started(lambda peer=peer: networks.engine(args, peer, net, 1, threads, folder), peer)
                if worker:
                    rows.setdefault(peer, []).append((worker.cold, worker.peak, math.nan))
                    worker.close()
    print(f"\n{net.name}, batch 1, {threads} thread{'s' * (threads > 1)}: process start to first result, {args.cold} processes")
    print(f"{'peer':14} {'seconds':>9} {'fastest':>9} {'peak MB':>8} {'private MB':>10}")
    table = []
    for peer, values in rows.items():
        seconds, peak, private = (statistics.median(column) for column in zip(*values))
        fastest = min(value[0] for value in values)
        print(f"{peer:14} {seconds:9.3f} {fastest:9.3f} {peak:8.0f} {private:10.0f}", flush=True)
        table.append({"peer": peer, "seconds": seconds, "fastest": fastest, "peak_mb": peak, "private_mb": private})
    return {"kind": "cold", "model": net.name, "threads": threads, "rows": table}


# ------------------------------------------------------------------------------------------------ errors
EXACT = """
import pathlib, sys
import numpy, torch
import bench_peers
path, batch, out = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
x = numpy.fromfile(path.parent / "input.f32", numpy.float32, batch * 3 * 224 * 224).reshape(-1, 3, 224, 224)
with torch.no_grad():
    bench_peers.torch_model(path).double()(torch.from_numpy(x).double()).numpy().tofile(out)
"""


def errors(args, net):
    """The largest difference to the same network in float64, relative to its largest output."""
    if net.shipped:
        print(f"# {net.name}: the kit has no such network; `netc verify` compares with float64", file=sys.stderr)
        return
    batch = args.batches[0]
    with temporary() as name:
        folder = pathlib.Path(name)
        command = [args.python, "-c", EXACT, net.path, str(batch), folder / "exact.f64"]
        subprocess.run(command, check=True, cwd=args.kit, env=environment(), stderr=subprocess.DEVNULL)
        exact = floats((folder / "exact.f64").read_bytes(), "d")
        told = []
        for peer in contestants(args, net, batch, args.threads[-1], folder):
            told.append(f"{peer.peer} {difference(peer.result(), exact):.1e}")
            peer.close()
    print(f"{net.name}, batch {batch}: " + ", ".join(told), flush=True)


if __name__ == "__main__":
    sys.exit(main())
