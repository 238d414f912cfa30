"""Optuna's default sampler on the problems of `compare_samplers`: the best value of each seed.

    python tests/peers/optuna_samplers.py \
        crates/hourglass-search/examples/compare_samplers/digits.csv > optuna.csv

Names of problems behind the file run those alone.

`cargo xtask bench sampler` runs it where HOURGLASS_PYTHON names a Python with Optuna 5.
"""

import csv
import math
import multiprocessing
import sys
import warnings

import optuna

SEEDS = 40
BUDGETS = [50, 150]


def branin(trial):
    x = trial.suggest_float("x0", -5.0, 10.0)
    y = trial.suggest_float("x1", 0.0, 15.0)
    bowl = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return bowl**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


ALPHA = [1.0, 1.2, 3.0, 3.2]
A = [
    [10, 3, 17, 3.5, 1.7, 8],
    [0.05, 10, 17, 0.1, 8, 14],
    [3, 3.5, 1.7, 10, 17, 8],
    [17, 8, 0.05, 10, 0.1, 14],
]
P = [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
]


def hartmann(trial):
    x = [trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(6)]
    return -sum(
        ALPHA[r] * math.exp(-sum(A[r][i] * (x[i] - P[r][i]) ** 2 for i in range(6)))
        for r in range(4)
    )


def rosenbrock(trial):
    x = [trial.suggest_float(f"x{i}", -2.0, 2.0) for i in range(4)]
    return math.log(
        1 + sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(3))
    )


def conditional(trial):
    layers = trial.suggest_categorical("layers", [1, 2, 3])
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd", "rmsprop"])
    rate = math.log10(trial.suggest_float(f"{optimizer}_rate", 1e-5, 1.0, log=True))
    if optimizer == "adam":
        beta = trial.suggest_float("beta", 0.8, 0.999)
        loss = 0.1 + 0.08 * (rate + 3) ** 2 + 4 * (beta - 0.92) ** 2
    elif optimizer == "sgd":
        momentum = trial.suggest_float("momentum", 0.0, 0.99)
        loss = 0.08 + 0.15 * (rate + 1.5) ** 2 + 0.3 * (momentum - 0.9) ** 2
    else:
        loss = 0.14 + 0.06 * (rate + 3.5) ** 2
    loss += [0.05, 0.02, 0.0][layers - 1]
    for layer in range(layers):
        width = trial.suggest_int(f"width_{layer + 1}", 8, 512, log=True)
        loss += 0.015 * (math.log2(width) - [7, 6, 5][layer]) ** 2
    return loss


def read_digits(path):
    with open(path) as file:
        rows = list(csv.reader(file))[1:]
    lists = [list(dict.fromkeys(row[i] for row in rows)) for i in range(5)]
    losses = {tuple(row[:5]): float(row[-1]) for row in rows}
    return lists, losses


def digits(trial):
    lists, losses = DIGITS
    names = ["latent_dim", "rate", "noise", "depth"]
    key = [
        lists[i][trial.suggest_int(name, 0, len(lists[i]) - 1)] for i, name in enumerate(names)
    ]
    return losses[(*key, trial.suggest_categorical("activation", lists[4]))]


PROBLEMS = {
    "Branin": branin,
    "Hartmann-6": hartmann,
    "log-Rosenbrock-4": rosenbrock,
    "conditional": conditional,
    "digits": digits,
}
NAMES = sys.argv[2:] or list(PROBLEMS)
DIGITS = read_digits(sys.argv[1]) if "digits" in NAMES else None


def best(job):
    name, seed = job
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(PROBLEMS[name], n_trials=max(BUDGETS))
    values = [trial.value for trial in study.trials]
    return [(name, budget, seed, min(values[:budget])) for budget in BUDGETS]


if __name__ == "__main__":
    assert optuna.__version__ >= "5", optuna.__version__
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    jobs = [(name, seed) for name in NAMES for seed in range(SEEDS)]
    print("problem,budget,seed,best")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for rows in pool.imap(best, jobs):
            for row in rows:
                print(*row, sep=",")
