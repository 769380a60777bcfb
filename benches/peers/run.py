#!/usr/bin/env python3
"""netc and its peers, side by side on the same inputs.

  run.py --kit KIT [--models a,b] [--peers p,q] [--batches 1,8,32] [--threads 1,2]      time per image
  run.py --kit KIT --cold 5                                                             start to first result, memory
  run.py --kit KIT --train head|full|block5 [--batch B]                                 time of a training step
  run.py --kit KIT --errors                                                             outputs against float64
  run.py --growth OUT.svg                                                               how netc's cost grows

KIT is the folder of the peers' benchmark (`bench_peers.py`, its `models/`); the environment variable NETC_PEERS names it
too. The peers run under its Python (`--python`), in processes of their own, in turn with netc: A B C A B C. Each netc
round is a fresh process of `netc bench`. README.md says how to set the kit up.
"""
import argparse
import json
import math
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODELS = ["vgg16", "resnet50", "squeezenet1_1", "alexnet", "mobilenet_v2"]
# Peers differ from each other by less than this, relative to the largest output.
AGREE = 2e-4


def main():
    args = arguments()
    if args.growth:
        import growth
        return growth.draw(args)
    sys.path.insert(0, str(args.kit))
    if args.train:
        return train(args)
    if args.errors:
        return errors(args)
    results = []
    for model in args.models:
        artifact = compiled(args, model)
        for threads in args.threads:
            if args.cold:
                results.append(cold(args, model, artifact, threads))
                continue
            for batch in args.batches:
                results.append(steady(args, model, artifact, batch, threads))
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    if args.cold:
        return 0
    summary(results)
    wrong = [row for result in results for row in result["rows"] if not row["error"] < AGREE]
    for row in wrong:
        print(f"{row['peer']} disagrees: error {row['error']:.1e}", file=sys.stderr)
    return 1 if wrong else 0


def arguments():
    numbers = lambda text: [int(number) for number in text.split(",")]
    words = lambda text: text.split(",")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_kit(parser)
    parser.add_argument("--models", type=words, default=MODELS)
    parser.add_argument("--peers", type=words, default=["ncnn", "mnn", "ort", "ov"])
    parser.add_argument("--batches", type=numbers, default=[1, 8, 32])
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.6, help="of each peer in each round")
    parser.add_argument("--build", type=words, default=[], help="options for netc build, such as --build=--tune")
    parser.add_argument("--cold", type=int, metavar="PROCESSES", default=0)
    parser.add_argument("--train", choices=["head", "full", "block5"])
    parser.add_argument("--errors", action="store_true", help="the largest errors against float64, of the first batch size")
    parser.add_argument("--batch", type=int, default=8, help="of --train full and block5")
    parser.add_argument("--growth", type=pathlib.Path, metavar="SVG")
    parser.add_argument("--json", type=pathlib.Path, help="write all results there")
    args = parser.parse_args()
    return args if args.growth else find_kit(parser, args)


def add_kit(parser):
    """The options that say who runs."""
    parser.add_argument("--kit", type=pathlib.Path, default=os.environ.get("NETC_PEERS"))
    parser.add_argument("--python", type=pathlib.Path, help="the kit's Python; default: KIT/venv/bin/python, else this one")
    parser.add_argument("--netc", type=pathlib.Path, default=ROOT / "target/release/netc")


def find_kit(parser, args):
    if args.kit is None:
        parser.error("--kit or NETC_PEERS must name the folder of the peers")
    args.kit = pathlib.Path(args.kit).resolve()
    own = args.kit / "venv/bin/python"
    args.python = args.python or (own if own.exists() else pathlib.Path(sys.executable))
    return args


# ------------------------------------------------------------------------------------------------ netc as a peer
def compiled(args, model):
    """The artifact of a model of the kit, beside its weights; compiled anew where netc, spec or options are newer."""
    spec, weights = HERE / "specs" / f"{model}.net", args.kit / "models" / f"{weights_of(model)}.h5"
    options = "".join(option.strip("-") + "." for option in args.build)
    artifact = args.kit / "models" / f"{model}.{options}netb"
    newest = max(file.stat().st_mtime for file in (spec, weights, args.netc))
    if not artifact.exists() or artifact.stat().st_mtime < newest:
        command = [args.netc, "build", spec, "--weights", f"{weights_of(model)}={weights}", "-o", artifact, *args.build]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return artifact


def weights_of(model):
    """The part of a model has the weights of the whole."""
    return model.split("_feat")[0]


def npy(path, shape, values):
    """Writes little-endian f32 values as .npy."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + values)


def channels_last(args, batch, folder):
    """The kit's input as netc takes it."""
    path = folder / f"input{batch}.npy"
    if not path.exists():
        convert = ("import numpy, sys; x = numpy.fromfile(sys.argv[1], numpy.float32, int(sys.argv[2]) * 3 * 224 * 224);"
                   "numpy.save(sys.argv[3], x.reshape(-1, 3, 224, 224).transpose(0, 2, 3, 1).copy())")
        subprocess.run([args.python, "-c", convert, args.kit / "models/input.f32", str(batch), path], check=True)
    return path


def netc_bench(args, artifact, x, batch, threads, runs, output=None):
    """One process of `netc bench`: what it tells, and how long it took as a whole."""
    command = [args.netc, "bench", artifact, "--input", x, "--batch", str(batch), "--threads", str(threads)]
    command += ["--runs", str(runs), "--format", "json"] + (["-o", output] if output else [])
    began = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(done.stdout), time.perf_counter() - began


class Netc:
    """Answers as a worker of the kit does."""

    def __init__(self, args, artifact, batch, threads, folder):
        self.peer, self.batch, self.times = "netc", batch, []
        self.call = lambda runs, output=None: netc_bench(
            args, artifact, channels_last(args, batch, folder), batch, threads, runs, output)
        self.output = folder / "netc.npy"
        told, _ = self.call(2, self.output)
        self.estimate, self.peak = told["batches"][0]["fastest_ms"], told["process"]["peak_bytes"] / 2**20

    def run(self, count):
        self.times += self.call(count)[0]["batches"][0]["times_ms"]

    def result(self):
        """Behind the header of the .npy file, whose length stands in two bytes."""
        raw = self.output.read_bytes()
        return floats(raw[10 + int.from_bytes(raw[8:10], "little"):])

    def rest(self):
        """Every run is a process of its own."""

    wake = close = rest


class Peer:
    """A worker of the kit."""

    def __init__(self, args, name, model, batch, threads, folder):
        self.peer, self.batch, self.times, self.folder = name, batch, [], folder
        worker = [args.python, args.kit / "bench_peers.py", "--worker", name, args.kit / "models" / model, str(batch), str(threads)]
        variables = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "RAYON", "RTEN", "OPENBLAS")}
        self.began = time.perf_counter()
        self.process = subprocess.Popen(worker, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True, env={**os.environ, **variables})
        self.told = self.answer()
        self.cold = time.perf_counter() - self.began
        self.estimate = self.told["first_ms"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.peer} ended with code {self.process.wait()}")
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def rest(self):
        """Stands still while others run: threads that spin for more work would take their time."""
        self.process.send_signal(signal.SIGSTOP)

    def wake(self):
        self.process.send_signal(signal.SIGCONT)

    def run(self, count):
        self.ask("run 1")
        times = self.ask(f"run {count}")
        self.estimate = min(times)
        self.times += times

    def result(self):
        path = self.folder / "peer.f32"
        self.ask(f"out {path}")
        return floats(path.read_bytes())

    @property
    def peak(self):
        return self.ask("rss") / 1024

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def floats(raw, kind="f"):
    import array
    values = array.array(kind)
    values.frombytes(raw)
    return values


def started(make, name):
    """A peer, or none where it is not installed."""
    try:
        return make()
    except (RuntimeError, OSError, subprocess.CalledProcessError) as fault:
        print(f"# {name}: {fault}", file=sys.stderr)
        return None


def in_turn(rounds, peers, run):
    """Each in each round, alone."""
    for peer in peers:
        peer.rest()
    for _ in range(rounds):
        for peer in peers:
            peer.wake()
            run(peer)
            peer.rest()
    for peer in peers:
        peer.wake()


# ------------------------------------------------------------------------------------------------ time per image
def steady(args, model, artifact, batch, threads):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        peers = [started(lambda: Netc(args, artifact, batch, threads, folder), "netc")]
        peers += [started(lambda peer=peer: Peer(args, peer, model, batch, threads, folder), peer) for peer in args.peers]
        peers = [peer for peer in peers if peer]
        results = [peer.result() for peer in peers]
        largest = max(map(abs, results[0]))
        for peer, result in zip(peers, results):
            same = len(result) == len(results[0])
            peer.error = max(abs(a - b) for a, b in zip(result, results[0])) / largest if same else math.inf
        in_turn(args.rounds, peers, lambda peer: peer.run(max(1, min(100, round(1e3 * args.seconds / peer.estimate)))))
        rows = []
        for peer in peers:
            quarters = statistics.quantiles(peer.times, n=4) if len(peer.times) > 1 else peer.times * 3
            rows.append(dict(peer=peer.peer, median_ms=quarters[1] / batch, low_ms=quarters[0] / batch,
                             high_ms=quarters[2] / batch, fastest_ms=min(peer.times) / batch, runs=len(peer.times),
                             peak_mb=peer.peak, error=peer.error))
            peer.close()
    print(f"\n{model}, batch {batch}, {threads} thread{'s' * (threads > 1)}, {args.rounds} rounds: ms per image")
    print(f"{'peer':14} {'median':>9} {'25 %':>9} {'75 %':>9} {'fastest':>9} {'x netc':>7} {'runs':>5} {'peak MB':>8} {'error':>8}")
    for row in rows:
        print(f"{row['peer']:14} {row['median_ms']:9.3f} {row['low_ms']:9.3f} {row['high_ms']:9.3f} {row['fastest_ms']:9.3f} "
              f"{row['median_ms'] / rows[0]['median_ms']:7.2f} {row['runs']:5} {row['peak_mb']:8.0f} {row['error']:8.1e}", flush=True)
    return dict(kind="steady", model=model, batch=batch, threads=threads, rows=rows)


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
def cold(args, model, artifact, threads):
    rows = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        x = channels_last(args, 1, folder)
        for _ in range(args.cold):
            told, seconds = netc_bench(args, artifact, x, 1, threads, 0)
            rows.setdefault("netc", []).append((seconds, told["process"]["peak_bytes"] / 2**20, told["process"]["private_bytes"] / 2**20))
            for peer in args.peers:
                worker = started(lambda: Peer(args, peer, model, 1, threads, folder), peer)
                if worker:
                    rows.setdefault(peer, []).append((worker.cold, worker.peak, math.nan))
                    worker.close()
    print(f"\n{model}, batch 1, {threads} thread{'s' * (threads > 1)}: process start to first result, {args.cold} processes")
    print(f"{'peer':14} {'seconds':>9} {'fastest':>9} {'peak MB':>8} {'private MB':>10}")
    table = []
    for peer, values in rows.items():
        seconds, peak, private = (statistics.median(column) for column in zip(*values))
        fastest = min(value[0] for value in values)
        print(f"{peer:14} {seconds:9.3f} {fastest:9.3f} {peak:8.0f} {private:10.0f}", flush=True)
        table.append(dict(peer=peer, seconds=seconds, fastest=fastest, peak_mb=peak, private_mb=private))
    return dict(kind="cold", model=model, threads=threads, rows=table)


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


def errors(args):
    """The largest difference to the same network in float64, relative to its largest output."""
    batch, threads = args.batches[0], args.threads[-1]
    for model in args.models:
        artifact = compiled(args, model)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            command = [args.python, "-c", EXACT, args.kit / "models" / model, str(batch), folder / "exact.f64"]
            subprocess.run(command, check=True, cwd=args.kit, stderr=subprocess.DEVNULL)
            exact = floats((folder / "exact.f64").read_bytes(), "d")
            largest = max(map(abs, exact))
            peers = [Netc(args, artifact, batch, threads, folder)]
            peers += [started(lambda peer=peer: Peer(args, peer, model, batch, threads, folder), peer) for peer in args.peers]
            told = []
            for peer in filter(None, peers):
                told.append(f"{peer.peer} {max(abs(a - b) for a, b in zip(peer.result(), exact, strict=True)) / largest:.1e}")
                peer.close()
        print(f"{model}, batch {batch}: " + ", ".join(told), flush=True)
    return 0


# ------------------------------------------------------------------------------------------------ training
TRAIN_PEERS = {"head": ["torch", "torch-tuned", "keras-fit", "numpy"]} | dict.fromkeys(["full", "block5"], ["torch", "torch-cl", "tf-fn"])


def training_program():
    """benches/train.rs, compiled where it is not."""
    command = ["cargo", "bench", "--profile", "release", "--bench", "train", "--no-run", "--message-format", "json"]
    told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in told.splitlines()]
    return next(message["executable"] for message in messages
                if message["reason"] == "compiler-artifact" and message["target"]["name"] == "train" and message["executable"])


class Trainer(Peer):
    """netc's or the kit's side of the training benchmark: both answer `run K` with times and the last loss."""

    def __init__(self, args, name, threads):
        self.peer, self.times = name, []
        if name.startswith("netc"):
            weights = [args.kit / "models/vgg16.h5"] * (args.train != "head")
            task = "cached" if name == "netc-cached" else args.train
            command = [training_program(), task, str(args.batch), str(threads), *weights]
        else:
            command = [args.python, args.kit / "bench_train.py", args.train, str(args.batch), "--worker", name,
                       "--models", args.kit / "models"]
        variables = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS")}
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.DEVNULL, env={**os.environ, **variables})
        self.told = self.answer()

    def run(self, count):
        times, self.loss = self.ask(f"run {count}")
        self.times += times

    def close(self):
        """Ends the process; the most memory it had at once, in MB."""
        self.process.stdin.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss / 1024


def train(args):
    threads = args.threads[-1]
    own = ["netc", "netc-cached"] if args.train == "block5" else ["netc"]
    names = own + [peer for peer in args.peers if peer.startswith(("torch", "numpy", "keras", "tf"))]
    names = names if len(names) > len(own) else names + TRAIN_PEERS[args.train]
    peers = [started(lambda name=name: Trainer(args, name, threads), name) for name in names]
    peers = [peer for peer in peers if peer]
    if not peers or peers[0].peer != "netc":
        return 1
    in_turn(args.rounds, peers, lambda peer: peer.run(1))
    what = "an epoch of 10,000 in batches of 128" if args.train == "head" else f"a step of {args.batch} images"
    print(f"\n{args.train}, {threads} threads, milliseconds: {what}")
    print(f"{'peer':14} {'median':>10} {'fastest':>10} {'x netc':>7} {'peak MB':>8} {'loss, first and last':>22}")
    first = statistics.median(peers[0].times)
    for peer in peers:
        median = statistics.median(peer.times)
        print(f"{peer.peer:14} {median:10.1f} {min(peer.times):10.1f} {median / first:7.2f} {peer.close():8.0f} {peer.told['loss0']:12.4f} {peer.loss:9.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
