#!/usr/bin/env python3
"""The case ResNet-50 of inferena, a public benchmark, in its form of JSON: https://github.com/kvark/inferena.

  inferena.py --kit KIT [--peers onnxruntime,pytorch,jax] [--threads 2] [--rounds 5] [--trainer PROGRAM] [--json FILE]

Its weights (a sine, seeded by the parameter's name), images and loss; batch 4, latency at batch 1. Its own runners time one run after
one to warm up; these are medians of several, in turn. Two things are not as there, and told in each result: a step of training is forward,
backward and update with batch normalisation in training mode, to 10 classes (there: backward alone, normalisation as the identity),
and `compile_s` is the time from a process's start to its first result (netc's build included).
"""
import argparse
import hashlib
import json
import math
import pathlib
import statistics
import sys
import time

import networks
import training
from workers import (
    absolute,
    add_kit,
    find_kit,
    in_turn,
    kit_worker,
    machine,
    netc_bench,
    started,
    temporary,
    words,
)

BATCH, CLASSES = 4, 1000
# The name in the benchmark: the kit's engine and the trainer, where there is one.
PEERS = {"onnxruntime": ("ort", None), "pytorch": ("torch-compile", "torch-cl"), "jax": (None, "jax")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_kit(parser)
    parser.add_argument("--peers", type=words, default=list(PEERS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trainer", type=absolute, metavar="PROGRAM", help="benches/train.rs as a program; default: compiled now")
    parser.add_argument("--json", type=pathlib.Path, help="write the results there, instead of to stdout")
    args = find_kit(parser, parser.parse_args())
    args.build = []
    whole = json.dumps(results(args), indent=1) + "\n"
    args.json.write_text(whole) if args.json else sys.stdout.write(whole)


def results(args):
    told = machine(args, args.threads)
    folder = args.kit / "models/inferena"
    folder.mkdir(exist_ok=True)
    # The same network with other weights: the .onnx, and beside it .pt, .h5 and input.f32.
    networks.convert(args, "inferena", args.kit / "models/resnet50.onnx", folder / "resnet50.onnx")
    net = networks.network(args, "resnet50")
    net.path, net.weights = folder / "resnet50", folder / "resnet50.h5"
    net.options = ["--weights", f"resnet50={net.weights}"]
    with temporary() as name:
        timed, cold, outputs = inference(args, net, pathlib.Path(name))
    steps = trained(args, folder)
    rows = []
    for framework in ("netc", *args.peers):
        if framework in timed or framework in steps:
            batch, one = timed.get(framework, (0.0, 0.0))
            rows.append({
                "framework": framework, "model": "ResNet-50", "device": "cpu", "gpu_name": told["processor"], "backend": "CPU",
                "threads": args.threads, "instructions": told["instructions"], "blas": told["blas"] if framework == "netc" else None,
                "training": "a whole step with batch normalisation, 10 classes" if framework in steps else None,
                "timings": {"compile_s": round(cold.get(framework, 0.0), 3), "inference_ms": round(batch, 3), "latency_ms": round(one, 3),
                            "training_ms": round(steps.get(framework, 0.0), 3)},
                "outputs": summary(outputs.get(framework))})
    return rows


def inference(args, net, folder):
    """Of each framework the median milliseconds of a batch and of one image, the seconds to the first result, and the outputs."""
    timed, cold, outputs = {}, {}, {}
    for batch in (BATCH, 1):
        peers = {"netc": networks.netc(args, net, batch, args.threads, folder)}
        for framework in args.peers:
            engine, _ = PEERS[framework]
            make = lambda engine=engine, batch=batch: kit_worker(args, engine, net.path, batch, args.threads, folder)
            peers[framework] = started(make, engine) if engine else None
        peers = {framework: peer for framework, peer in peers.items() if peer}
        in_turn(args.rounds, list(peers.values()), lambda peer: peer.run(3))
        for framework, peer in peers.items():
            timed.setdefault(framework, []).append(statistics.median(peer.times))
            if batch == BATCH:
                outputs[framework] = peer.result()
                cold[framework] = netc_cold(args, net, folder) if framework == "netc" else peer.cold
            peer.close()
    return timed, cold, outputs


def netc_cold(args, net, folder):
    """The seconds of a build, and of a process that runs it once."""
    began = time.perf_counter()
    networks.build(args, net, folder / "resnet50.netb", [])
    built = time.perf_counter() - began
    return built + netc_bench(args, folder / "resnet50.netb", networks.inputs(args, net, BATCH, folder), BATCH, args.threads, 0)[1]


def trained(args, folder):
    """The median milliseconds of a step of training."""
    names = {"netc": "netc"} | {framework: PEERS[framework][1] for framework in args.peers if PEERS[framework][1]}
    peers = {}
    for framework, name in names.items():
        peers[framework] = started(lambda name=name: training.Trainer(args, name, args.threads, "resnet50", BATCH, folder), name)
    peers = {framework: peer for framework, peer in peers.items() if peer}
    in_turn(args.rounds, list(peers.values()), lambda peer: peer.run(1))
    for peer in peers.values():
        peer.close()
    return {framework: statistics.median(peer.times) for framework, peer in peers.items()}


def summary(scores):
    """As the benchmark compares outputs; image i has the label i."""
    if scores is None:
        return {"logits_hash": "", "logits_sample": [], "loss": 0.0}
    loss = 0.0
    for image in range(BATCH):
        row = scores[image * CLASSES:(image + 1) * CLASSES]
        most = max(row)
        loss += (math.log(sum(math.exp(score - most) for score in row)) + most - row[image]) / BATCH
    return {"logits_hash": "sha256:" + hashlib.sha256(scores.tobytes()).hexdigest(),
            "logits_sample": [round(score, 6) for score in scores[:16]], "loss": round(loss, 6)}


if __name__ == "__main__":
    main()
