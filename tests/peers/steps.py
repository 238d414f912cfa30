"""Training steps in PyTorch: the weights, rows and order of batches that our side wrote."""

import sys
import time

import side

torch = side.torch_module()
import numpy as np  # noqa: E402  (torch brings it)

# Widths of a dense encoder (the decoder mirrors it), rows of a batch, steps of a round.
NETWORKS = {
    "small": ([784, 256, 64], 256, 200),
    "large": ([784, 1024, 256], 256, 60),
    "k-sparse": ([784, 1000], 256, 100),
    "conv": (None, 128, 50),
}
K = 25

name, options, folder = sys.argv[1], sys.argv[2:-1], sys.argv[-1]
widths, batch_size, n_steps = NETWORKS[name]
rows = torch.from_numpy(np.fromfile(f"{folder}/rows.f32", dtype=np.float32).reshape(-1, 784))
numbers = np.fromfile(f"{folder}/weights.f32", dtype=np.float32)


def take(*shape):
    global numbers
    size = int(np.prod(shape))
    values, numbers = numbers[:size], numbers[size:]
    return torch.from_numpy(values.reshape(shape).copy())


def linear(n_in, n_out, weight, bias):
    layer = torch.nn.Linear(n_in, n_out)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


class Largest(torch.nn.Module):
    def forward(self, x):
        values, places = x.topk(K, dim=1)
        return torch.zeros_like(x).scatter(1, places, values)


def dense():
    encoder, decoder = [], []
    for n_in, n_out in zip(widths, widths[1:]):
        encoder.append(linear(n_in, n_out, take(n_out, n_in), take(n_out)))
    back = widths[::-1]
    for n_in, n_out in zip(back, back[1:]):
        # A decoder's weights lie with one row a hidden unit.
        decoder.append(linear(n_in, n_out, take(n_in, n_out).T, take(n_out)))
    parts = []
    for layers in (encoder, decoder):
        for i, layer in enumerate(layers):
            parts.append(layer)
            if i + 1 < len(layers):
                parts.append(torch.nn.ReLU())
        if layers is encoder:
            parts.append(Largest() if name == "k-sparse" else torch.nn.ReLU())
    return parts


def convolution(kind, n_in, n_out, **options):
    layer = kind(n_in, n_out, 3, stride=2, padding=1, **options)
    # Ours lie with channels last.
    first, second = layer.weight.shape[:2]
    with torch.no_grad():
        layer.weight.copy_(take(first, 3, 3, second).permute(0, 3, 1, 2))
        layer.bias.copy_(take(n_out))
    return layer


def convolutional():
    nn = torch.nn
    return [
        nn.Unflatten(1, (1, 28, 28)),
        convolution(nn.Conv2d, 1, 32),
        nn.ReLU(),
        convolution(nn.Conv2d, 32, 64),
        nn.ReLU(),
        nn.Flatten(),
        linear(3136, 64, take(64, 3136), take(64)),
        linear(64, 3136, take(64, 3136).T, take(3136)),
        nn.ReLU(),
        nn.Unflatten(1, (64, 7, 7)),
        convolution(nn.ConvTranspose2d, 64, 32, output_padding=1),
        nn.ReLU(),
        convolution(nn.ConvTranspose2d, 32, 1, output_padding=1),
        nn.Flatten(),
    ]


model = torch.nn.Sequential(*(convolutional() if name == "conv" else dense()))
weights = [p for p in model.parameters() if p.dim() > 1]
biases = [p for p in model.parameters() if p.dim() == 1]
groups = [{"params": weights, "weight_decay": 0.01}, {"params": biases, "weight_decay": 0.0}]
optimizer = torch.optim.AdamW(groups, lr=1e-3, fused="--fused" in options or None)


def step(x):
    optimizer.zero_grad(set_to_none=True)
    loss = torch.nn.functional.mse_loss(model(x), x)
    loss.backward()
    optimizer.step()
    return loss.detach()


if "--compile" in options:
    model = torch.compile(model)
    try:
        with torch.no_grad():
            model(rows[:batch_size])
    except Exception as error:
        side.skip(f"torch.compile does not work here: {str(error).splitlines()[0]}")

done = 0


def round_of_work():
    global done
    start = time.perf_counter()
    total = 0.0
    for _ in range(n_steps):
        places = (torch.arange(done * batch_size, (done + 1) * batch_size) * 7919) % len(rows)
        total += step(rows[places]).item()
        done += 1
    seconds = time.perf_counter() - start
    return {"value": n_steps * batch_size / seconds, "loss": total / n_steps}


side.serve(round_of_work, torch=torch.__version__)
