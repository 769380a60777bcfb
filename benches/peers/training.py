"""run.py --train: an epoch of a head, or a step of a whole network, by netc and its peers."""
import json
import statistics
import subprocess
import sys

from workers import HERE, ROOT, Worker, environment, in_turn, started

PEERS = {"head": ["torch", "torch-tuned", "keras-fit", "numpy", "jax"]}
PEERS |= {task: ["torch", "torch-cl", "tf-fn", "jax"] for task in ("full", "block5")}
PEERS |= {task: ["torch", "torch-cl", "jax"] for task in ("resnet50", "mobilenet_v2")}
# Of these, trainers.py has the training; of the others, the kit.
OWN_TASKS = ("resnet50", "mobilenet_v2")
# Freed memory stays with the process: PyTorch would give it back and take it anew in each step.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**34), "MALLOC_TOP_PAD_": str(2**28)}
# Peers that begin with the same weights and data end on the same loss, relative to the first; JAX begins as PyTorch does.
SAME = 1e-3


def training_program(args):
    """benches/train.rs, compiled where it is not."""
    if args.trainer:
        return args.trainer
    command = ["cargo", "bench", "--profile", "release", "--bench", "train", "--no-run", "--message-format", "json"]
    told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in told.splitlines()]
    return next(message["executable"] for message in messages
                if message["reason"] == "compiler-artifact" and message["target"]["name"] == "train" and message["executable"])


class Trainer(Worker):
    """netc's, the kit's or trainers.py's side of the training benchmark: all answer `run K` with times and the last loss."""

    def __init__(self, args, name, threads, task, batch, models):
        if name.startswith("netc"):
            weights = [models / "vgg16.h5"] * (task in ("full", "block5"))
            command = [training_program(args), "cached" if name == "netc-cached" else task, str(batch), str(threads), *weights]
            variables = environment()
        else:
            variables = environment(threads, **ALLOCATOR)
            if name == "jax" or task in OWN_TASKS:
                command = [args.python, HERE / "trainers.py", args.kit, task, str(batch), name, models, str(threads)]
            else:
                command = [args.python, args.kit / "bench_train.py", task, str(batch), "--worker", name, "--models", models]
        super().__init__(name, command, variables)

    def run(self, count):
        times, self.loss = self.ask(f"run {count}")
        self.times += times


def train(args):
    threads, task = args.threads[-1], args.train
    names = ["netc"] + ["netc-cached"] * (task == "block5") + (args.peers or PEERS[task])
    peers = [started(lambda name=name: Trainer(args, name, threads, task, args.batch, args.kit / "models"), name) for name in names]
    peers = [peer for peer in peers if peer]
    if not peers or peers[0].peer != "netc":
        return 1
    in_turn(args.rounds, peers, lambda peer: peer.run(1))
    what = "an epoch of 10,000 in batches of 128" if task == "head" else f"a step of {args.batch} images"
    print(f"\n{task}, {threads} threads, milliseconds: {what}")
    print(f"{'peer':14} {'median':>10} {'fastest':>10} {'x netc':>7} {'peak MB':>8} {'loss, first and last':>22}")
    first = statistics.median(peers[0].times)
    rows = []
    for peer in peers:
        median, fastest, memory = statistics.median(peer.times), min(peer.times), peer.close()
        print(f"{peer.peer:14} {median:10.1f} {fastest:10.1f} {median / first:7.2f} {memory:8.0f} {peer.told['loss0']:12.5f} {peer.loss:9.5f}")
        rows.append({"peer": peer.peer, "median_ms": median, "fastest_ms": fastest, "peak_mb": memory, "loss": [peer.told["loss0"], peer.loss]})
    if args.json:
        args.json.write_text(json.dumps({"kind": "train", "task": task, "batch": args.batch, "threads": threads, "rows": rows}, indent=1) + "\n")
    return 0 if task == "head" else same_losses({row["peer"]: row["loss"] for row in rows})


def same_losses(losses):
    """JAX and PyTorch begin with the same weights and data, so that their losses before and after the steps are the same."""
    if not {"jax", "torch"} <= losses.keys():
        return 0
    apart = max(abs(a - b) for a, b in zip(losses["jax"], losses["torch"])) / losses["torch"][0]
    print(f"the losses of JAX are those of PyTorch, to {apart:.1e}" if apart < SAME else f"JAX' losses differ from PyTorch's by {apart:.1e}",
          file=sys.stdout if apart < SAME else sys.stderr)
    return int(apart >= SAME)
