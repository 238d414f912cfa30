"""Encodes all rows by PyTorch or by ONNX Runtime, at once or in batches, whichever is faster."""

import sys
import time

import side

kind, folder = sys.argv[1], sys.argv[-1]
torch = side.torch_module()
import numpy as np  # noqa: E402

WIDTHS = [784, 256, 64]
rows = np.fromfile(f"{folder}/rows.f32", dtype=np.float32).reshape(-1, 784)
numbers = np.fromfile(f"{folder}/weights.f32", dtype=np.float32)
layers = []
for n_in, n_out in zip(WIDTHS, WIDTHS[1:]):
    weight, numbers = numbers[: n_in * n_out].reshape(n_out, n_in), numbers[n_in * n_out :]
    bias, numbers = numbers[:n_out], numbers[n_out:]
    layers.append((weight, bias))

if kind == "torch":
    model = torch.nn.Sequential()
    for weight, bias in layers:
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))
        model.extend([layer, torch.nn.ReLU()])
    model.eval()

    def encode(batch):
        with torch.inference_mode():
            return model(torch.from_numpy(batch)).numpy()

    versions = {"torch": torch.__version__}
else:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        side.skip(f"{error.name} is not installed")
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, name = [], [], "x"
    for i, (weight, bias) in enumerate(layers):
        constants += [
            numpy_helper.from_array(weight.T.copy(), f"w{i}"),
            numpy_helper.from_array(bias, f"b{i}"),
        ]
        nodes.append(helper.make_node("Gemm", [name, f"w{i}", f"b{i}"], [f"z{i}"]))
        nodes.append(helper.make_node("Relu", [f"z{i}"], [f"a{i}"]))
        name = f"a{i}"
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "encoder",
        [tensor("x", TensorProto.FLOAT, ["n", WIDTHS[0]])],
        [tensor(name, TensorProto.FLOAT, ["n", WIDTHS[-1]])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = side.N_THREADS
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def encode(batch):
        return session.run(None, {"x": batch})[0]

    versions = {"onnxruntime": onnxruntime.__version__}


def in_batches(size):
    encoded = np.empty((len(rows), WIDTHS[-1]), dtype=np.float32)
    for first in range(0, len(rows), size):
        encoded[first : first + size] = encode(rows[first : first + size])
    return encoded


def seconds_of(size):
    start = time.perf_counter()
    in_batches(size)
    return time.perf_counter() - start


SIZES = [256, 2048, len(rows)]
seconds_of(SIZES[-1])
best = min(SIZES, key=seconds_of)


def round_of_work():
    start = time.perf_counter()
    encoded = in_batches(best)
    seconds = time.perf_counter() - start
    return {"value": len(rows) / seconds, "loss": float(encoded.mean(dtype=np.float64))}


side.serve(round_of_work, **versions)
