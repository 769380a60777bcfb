"""The workers' side of the protocol of workers.py."""
import json
import os
import sys
import time

import numpy


def serve(load, answer=lambda times, last: times):
    """Runs what `load` returns as often as it is asked; `answer` makes the reply to `run K` of the times and the last result."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no reply
    reply = lambda value: print(json.dumps(value), file=replies)
    began = time.perf_counter()
    run = load()
    loaded = time.perf_counter()
    last = run()
    told = {"load_s": loaded - began, "first_ms": (time.perf_counter() - loaded) * 1e3}
    reply(told | ({"loss0": last} if isinstance(last, float) else {}))
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "run":
            times = []
            for _ in range(int(argument)):
                began = time.perf_counter()
                last = run()
                times.append((time.perf_counter() - began) * 1e3)
            reply(answer(times, last))
        elif command == "out":
            with open(argument, "wb") as file:
                file.writelines(numpy.ascontiguousarray(values, numpy.float32).tobytes() for values in last)
            reply(1)
        elif command == "rss":
            with open("/proc/self/status") as lines:
                reply(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")))
