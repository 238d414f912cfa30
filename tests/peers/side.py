"""The other end of xtask/src/bench/side.rs: says `ready`, then does a round for each line read."""

import os
import sys

N_THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))


def skip(reason):
    print(f"skip {reason}", flush=True)
    sys.exit(0)


def torch_module():
    try:
        import torch
    except ImportError:
        skip("torch is not installed")
    torch.set_num_threads(N_THREADS)
    return torch


def serve(round_of_work, **versions):
    """`round_of_work()` returns a dict with `value` and, where there is one, `loss`."""
    print("ready", *(f"{name}={version}" for name, version in versions.items()), flush=True)
    for _ in sys.stdin:
        words = round_of_work()
        print(*(f"{key}={value}" for key, value in words.items()), flush=True)
