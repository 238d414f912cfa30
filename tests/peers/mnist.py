"""pipelines/mnist.toml, one repeat, by PyTorch and scikit-learn: the script one would write.

It is spared the choice of C: logistic regression is fitted once, with the C that our side chose for
the same features, where our side tries several and refits. It is spared the linear SVMs, too, on
which liblinear works for minutes a feature set; `--svm` has it fit them. So the ratio is a lower
bound.
"""

import gzip
import json
import math
import os
import sys
import time

import side

torch = side.torch_module()
import numpy as np  # noqa: E402

try:
    import sklearn
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import LinearSVC
except ImportError as error:
    side.skip(f"{error.name} is not installed")

folder = sys.argv[-1]
if "HOURGLASS_DATA_DIR" not in os.environ:
    side.skip("HOURGLASS_DATA_DIR is not set")
UNITS, SHARE, BATCH, EPOCHS, RATE = 1000, 0.08, 256, 15, 4e-3


def idx(path, skip):
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), dtype=np.uint8, offset=skip)


def read(data):
    images = [idx(f"{data}/{name}-images-idx3-ubyte.gz", 16) for name in ("train", "t10k")]
    labels = [idx(f"{data}/{name}-labels-idx1-ubyte.gz", 8) for name in ("train", "t10k")]
    scaled = [(part.reshape(-1, 784) / 255.0).astype(np.float32) for part in images]
    return scaled, [part.astype(np.int64) for part in labels]


def train(x, validation):
    torch.manual_seed(1)
    weight = torch.nn.Parameter(torch.empty(UNITS, 784).normal_(0, math.sqrt(2 / 784)))
    encoder_bias = torch.nn.Parameter(torch.zeros(UNITS))
    decoder_bias = torch.nn.Parameter(torch.zeros(784))
    optimizer = torch.optim.Adam([weight, encoder_bias, decoder_bias], lr=RATE)
    n_steps = len(x) // BATCH
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * n_steps)
    start = weight.detach().clone()

    def reconstruct(batch):
        latent = torch.nn.functional.linear(batch, weight, encoder_bias)
        k = max(1, math.ceil(len(batch) * SHARE))
        threshold = latent.topk(k, dim=0).values[-1]
        latent = torch.where(latent >= threshold, latent, 0.0)
        return latent @ weight + decoder_bias

    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        for step in range(n_steps):
            batch = x[order[step * BATCH : (step + 1) * BATCH]]
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.mse_loss(reconstruct(batch), batch).backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            parts = validation.split(BATCH)
            losses = [torch.nn.functional.mse_loss(reconstruct(part), part) for part in parts]
    loss = float(torch.stack(losses).mean())
    return start, weight.detach(), encoder_bias.detach(), loss


def run():
    places = json.load(open(f"{folder}/mnist.json"))
    (x, x_test), (y, y_test) = read(f"{os.environ['HOURGLASS_DATA_DIR']}/mnist")
    x_train, x_validation, y_train, y_validation = train_test_split(
        x, y, test_size=0.1, stratify=y, random_state=1
    )
    x_fit, y_fit = np.concatenate([x_train, x_validation]), np.concatenate([y_train, y_validation])
    tensors = [torch.from_numpy(part) for part in (x_train, x_validation)]
    start, weight, bias, loss = train(*tensors)

    def encoded(weight, bias):
        with torch.no_grad():
            both = [torch.relu(torch.from_numpy(p) @ weight.T + bias).numpy() for p in (x_fit, x_test)]
        scale = both[0][: len(x_train)].std()
        return [part / scale for part in both]

    def components():
        pca = PCA(n_components=784, svd_solver="full").fit(x_train)
        both = [pca.transform(part) for part in (x_fit, x_test)]
        scale = both[0][: len(x_train)].std()
        return [part / scale for part in both]

    scale = x_train.std()
    sets = {
        "raw": lambda: [x_fit / scale, x_test / scale],
        "pca": components,
        "random_encoder": lambda: encoded(start, torch.zeros(UNITS)),
        "autoencoder": lambda: encoded(weight, bias),
    }
    accuracies = {}
    for name, features in sets.items():
        fit, test = features()
        chosen = places["c"][name]
        models = {
            "logistic_regression": LogisticRegression(C=chosen["logistic_regression"], max_iter=200),
            "knn": KNeighborsClassifier(5, algorithm="brute"),
        }
        if "--svm" in sys.argv:
            models["linear_svm"] = LinearSVC(C=chosen["linear_svm"], dual=False, tol=1e-3)
        for kind, model in models.items():
            accuracies[name, kind] = model.fit(fit, y_fit).score(test, y_test)
    return loss, accuracies


def round_of_work():
    start = time.perf_counter()
    loss, accuracies = run()
    seconds = time.perf_counter() - start
    for key, accuracy in accuracies.items():
        print(*key, f"{accuracy:.4f}", file=sys.stderr)
    return {"value": seconds, "loss": loss}


side.serve(round_of_work, torch=torch.__version__, sklearn=sklearn.__version__)
