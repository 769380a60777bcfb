"""The processes that are measured, and how they take turns.

A worker answers a line on its stdin with a line of JSON: `run K` with K times in milliseconds, `out FILE` when it has written its last
result as f32 values, `rss` with its peak memory in KB. Its first line tells of its start. serving.py is the workers' side of it.
"""
import array
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIBRARIES = ("OMP", "MKL", "RAYON", "RTEN", "OPENBLAS")


# ------------------------------------------------------------------------------------------------ who runs
def add_kit(parser):
    """The options that say who runs."""
    parser.add_argument("--kit", type=pathlib.Path, default=os.environ.get("NETC_PEERS"))
    parser.add_argument("--python", type=pathlib.Path, help="the kit's Python; default: KIT/venv/bin/python, else this one")
    parser.add_argument("--netc", type=absolute, default=ROOT / "target/release/netc")


def find_kit(parser, args):
    if args.kit is None:
        parser.error("--kit or NETC_PEERS must name the folder of the peers")
    args.kit = absolute(args.kit)
    own = args.kit / "venv/bin/python"
    args.python = args.python or (own if own.exists() else pathlib.Path(sys.executable))
    return args


def absolute(text):
    return pathlib.Path(text).resolve()


def words(text):
    return text.split(",")


def environment(threads=None, **more):
    """Without the variables that choose a BLAS' kernels or threads for everyone; the number of threads for the libraries of a peer."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(tuple(f"{library}_" for library in LIBRARIES))}
    told = {f"{library}_NUM_THREADS": str(threads) for library in LIBRARIES} if threads else {}
    return kept | told | more


def machine(args, threads):
    """The instruction set and the BLAS core that netc runs with, and the processor."""
    command = [args.netc, "bench", "Input(256) >> Dense(256)", "--allow-untrained", "--batch", "1", "--runs", "1", "--threads", str(threads)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()).stdout
    facts = dict(line.split(maxsplit=1) for line in told.splitlines() if line.startswith(("machine", "blas")))
    with open("/proc/cpuinfo") as lines:
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return {"processor": name, "instructions": facts["machine"].split(",")[0], "blas": facts["blas"]}


# ------------------------------------------------------------------------------------------------ workers
class Worker:
    """A process that answers, and the times that it has told."""

    def __init__(self, name, command, variables, folder=None):
        self.peer, self.times, self.folder = name, [], folder
        self.began = time.perf_counter()
        # A group of its own, so that the processes which it starts rest with it.
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        cwd=ROOT, env=variables, process_group=0)
        self.told = self.answer()
        self.cold = time.perf_counter() - self.began
        self.estimate = self.told["first_ms"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.peer} ended with code {self.process.wait()}: {' '.join(map(str, self.process.args))}")
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def rest(self):
        """Stands still while others run: threads that spin for more work would take their time."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def wake(self):
        os.killpg(self.process.pid, signal.SIGCONT)

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
        """Ends the process; the most memory it had at once, in MB."""
        self.process.stdin.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss / 1024


class Netc:
    """Answers as a worker does; each run is a fresh process of `netc bench`."""

    def __init__(self, args, artifact, inputs, batch, threads, folder):
        self.peer, self.times, self.output = "netc", [], folder / "netc.npz"
        self.call = lambda runs, *more: netc_bench(args, artifact, inputs, batch, threads, runs, *more)
        told, _ = self.call(2, "-o", self.output)
        self.estimate, self.peak = told["batches"][0]["fastest_ms"], told["process"]["peak_bytes"] / 2**20

    def run(self, count):
        self.times += self.call(count)[0]["batches"][0]["times_ms"]

    def result(self):
        """All outputs, one behind the other."""
        values = array.array("f")
        with zipfile.ZipFile(self.output) as file:
            for name in file.namelist():
                # Behind the header of the .npy file, whose length stands in two bytes.
                raw = file.read(name)
                values.frombytes(raw[10 + int.from_bytes(raw[8:10], "little"):])
        return values

    def rest(self):
        """Every run is a process of its own."""

    wake = close = rest


def netc_bench(args, artifact, inputs, batch, threads, runs, *more):
    """One process of `netc bench`: what it tells, and how long it took as a whole."""
    command = [args.netc, "bench", artifact, "--input", inputs, "--batch", str(batch), "--threads", str(threads)]
    began = time.perf_counter()
    done = subprocess.run([*command, "--runs", str(runs), "--format", "json", *more], check=True, env=environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(done.stdout), time.perf_counter() - began


def kit_worker(args, name, model, batch, threads, folder):
    """A worker of the kit; `model` is the path of its files, without their endings."""
    command = [args.python, args.kit / "bench_peers.py", "--worker", name, model, str(batch), str(threads)]
    return Worker(name, command, environment(threads), folder)


def floats(raw, kind="f"):
    values = array.array(kind)
    values.frombytes(raw)
    return values


def difference(values, expected):
    """The largest, relative to the largest expected value."""
    if len(values) != len(expected):
        return float("inf")
    return max(abs(a - b) for a, b in zip(values, expected)) / max(map(abs, expected))


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


def temporary():
    """A folder that is gone at the end, as a context."""
    return tempfile.TemporaryDirectory(prefix="peers-")
