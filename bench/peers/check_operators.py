"""Runs models of the operators of the domain `tritforge` in Python's onnxruntime, with our library registered and without.

    node packages/kernels/build.mjs --operators          # prints the path of the library
    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r bench/peers/requirements.txt
    /tmp/peers/bin/python bench/peers/check_operators.py packages/kernels/build/libtritforge_ops.so [accelerated.onnx ...]

Without the library onnxruntime runs the function bodies. Integer outputs must be identical, floats within 1e-5 of the largest.
The models made here are written independently of our own encoder. Exits with 1 when any differs.
"""

import argparse
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
DOMAIN = "tritforge"
GROUP_SIZE = 16
INPUT_TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(int64)": np.int64}


def constant(name, array):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(array), name))


def decode(shape):
    """Nodes from `W` (packed codes) and `group_codes` to `w8`, int8 of this shape [OC, depth, kH, kW]."""
    lookup = np.array([[(0, 1, 0, -1)[byte >> 2 * i & 3] for i in range(4)] for byte in range(256)], np.int32)
    count = int(np.prod(shape))
    return [
        constant("lookup", lookup),
        constant("flat", np.array([-1], np.int64)),
        constant("first", np.array([0], np.int64)),
        constant("count", np.array([count], np.int64)),
        constant("shape", np.array(shape, np.int64)),
        constant("group_of", np.arange(shape[1], dtype=np.int64) // GROUP_SIZE),
        helper.make_node("Cast", ["W"], ["index"], to=TensorProto.INT32),
        helper.make_node("Gather", ["lookup", "index"], ["fours"], axis=0),
        helper.make_node("Reshape", ["fours", "flat"], ["padded"]),
        helper.make_node("Slice", ["padded", "first", "count"], ["trits"]),
        helper.make_node("Reshape", ["trits", "shape"], ["signs"]),
        helper.make_node("Cast", ["group_codes"], ["codes"], to=TensorProto.INT32),
        helper.make_node("Gather", ["codes", "group_of"], ["magnitudes"], axis=1),
        helper.make_node("Mul", ["signs", "magnitudes"], ["products"]),
        helper.make_node("Cast", ["products"], ["w8"], to=TensorProto.INT8),
    ]


def packed(rng, count):
    codes = np.zeros(-(-count // 4) * 4, np.uint8)
    codes[:count] = rng.choice([0, 1, 3], count)
    fours = codes.reshape(-1, 4)
    return fours[:, 0] | fours[:, 1] << 2 | fours[:, 2] << 4 | fours[:, 3] << 6


def model(op_type, inputs, attributes, constants, body, graph_inputs, output_type):
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    node = helper.make_node(op_type, inputs, ["Y"], name="node", domain=DOMAIN, **attributes)
    output = helper.make_tensor_value_info("Y", output_type, None)
    graph = helper.make_graph([node], "graph", graph_inputs, [output], initializers)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    function = helper.make_function(DOMAIN, op_type, inputs, ["Y"], body, opsets[:1], list(attributes))
    made = helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8)
    return made.SerializeToString()


def ternary_conv(rng, adds, stride):
    oc, depth, size = 37, 40, 13
    shape = [oc, depth, 3, 3]
    window = {"kernel_shape": [3, 3], "strides": [stride] * 2, "pads": [1] * 4, "dilations": [1] * 2, "group": 1}
    constants = {
        "x_scale": np.float32(0.02), "x_zero_point": np.uint8(3), "W": packed(rng, int(np.prod(shape))),
        "w_scale": rng.uniform(0.001, 0.003, oc).astype(np.float32), "y_scale": np.float32(2.3),
        "y_zero_point": np.uint8(131), "B": rng.integers(-2000, 2000, oc).astype(np.int32),
        "group_codes": rng.integers(1, 65, [oc, -(-depth // GROUP_SIZE), 3, 3]).astype(np.int8),
    }
    inputs = list(constants)
    inputs.insert(0, "X")
    graph_inputs = [helper.make_tensor_value_info("X", TensorProto.UINT8, ["batch", size, size, depth])]
    body = [
        *decode(shape),
        constant("w_zero_point", np.zeros(oc, np.int8)),
        helper.make_node("Transpose", ["X"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("QLinearConv", ["x", "x_scale", "x_zero_point", "w8", "w_scale", "w_zero_point", "y_scale",
                                         "y_zero_point", "B"], ["y"], **window),
    ]
    last = "y"
    if adds:
        extra = {"r_scale": np.float32(0.7), "r_zero_point": np.uint8(20), "z_scale": np.float32(2.9),
                 "z_zero_point": np.uint8(90)}
        constants |= extra
        inputs += ["R", *extra]
        side = (size - 1) // stride + 1
        graph_inputs.append(helper.make_tensor_value_info("R", TensorProto.UINT8, ["batch", side, side, oc]))
        body += [
            helper.make_node("Transpose", ["R"], ["r"], perm=[0, 3, 1, 2]),
            helper.make_node("DequantizeLinear", ["y", "y_scale", "y_zero_point"], ["y_float"]),
            helper.make_node("DequantizeLinear", ["r", "r_scale", "r_zero_point"], ["r_float"]),
            helper.make_node("Add", ["y_float", "r_float"], ["z_float"]),
            helper.make_node("QuantizeLinear", ["z_float", "z_scale", "z_zero_point"], ["z"]),
        ]
        last = "z"
    body.append(helper.make_node("Transpose", [last], ["Y"], perm=[0, 2, 3, 1]))
    attributes = window | {"group_size": GROUP_SIZE, "weight_shape": shape}
    return model("TernaryConvAdd" if adds else "TernaryConv", inputs, attributes, constants, body, graph_inputs,
                 TensorProto.UINT8)


def ternary_matmul(rng):
    n, k = 70, 100
    constants = {
        "x_scale": np.float32(0.02), "x_zero_point": np.uint8(120), "W": packed(rng, n * k),
        "w_scale": rng.uniform(0.001, 0.003, n).astype(np.float32), "B": rng.integers(-900, 900, n).astype(np.int32),
        "group_codes": rng.integers(1, 65, [n, -(-k // GROUP_SIZE)]).astype(np.int8),
    }
    inputs = ["X", *constants]
    body = [
        *decode([n, k]),
        helper.make_node("Transpose", ["w8"], ["w8_t"], perm=[1, 0]),
        helper.make_node("MatMulInteger", ["X", "w8_t", "x_zero_point"], ["products32"]),
        helper.make_node("Add", ["products32", "B"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x_scale", "w_scale"], ["scales"]),
        helper.make_node("Mul", ["floats", "scales"], ["Y"]),
    ]
    graph_inputs = [helper.make_tensor_value_info("X", TensorProto.UINT8, ["rows", k])]
    return model("TernaryMatMul", inputs, {"K": k, "N": n, "group_size": GROUP_SIZE}, constants, body, graph_inputs,
                 TensorProto.FLOAT)


def max_pool():
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4, "dilations": [1, 1]}
    body = [
        helper.make_node("Transpose", ["X"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("MaxPool", ["x"], ["y"], **window),
        helper.make_node("Transpose", ["y"], ["Y"], perm=[0, 2, 3, 1]),
    ]
    graph_inputs = [helper.make_tensor_value_info("X", TensorProto.UINT8, ["batch", 15, 14, 33])]
    return model("MaxPool", ["X"], window, {}, body, graph_inputs, TensorProto.UINT8)


def session(source, library, threads):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    if library is not None:
        options.add_session_config_entry("tritforge.threads", str(threads))
        options.register_custom_ops_library(library)
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def feeds_of(stock, rng):
    feeds = {}
    for value in stock.get_inputs():
        shape = [size if isinstance(size, int) else 2 for size in value.shape]
        dtype = INPUT_TYPES[value.type]
        random = rng.normal(0, 1, shape) if dtype == np.float32 else rng.integers(0, 256 if dtype == np.uint8 else 2, shape)
        feeds[value.name] = random.astype(dtype)
    return feeds


def best_ms(run, rounds=20):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times) * 1000


def agrees(expected, actual):
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return False
    if expected.dtype != np.float32:
        return np.array_equal(expected, actual)
    return np.allclose(expected, actual, rtol=0, atol=1e-5 * max(1e-30, float(np.abs(expected).max())))


def compare(name, source, library, threads):
    rng = np.random.default_rng(1)
    stock, ours = session(source, None, threads), session(source, library, threads)
    feeds = feeds_of(stock, rng)
    same = all(map(agrees, stock.run(None, feeds), ours.run(None, feeds)))
    stock_ms, our_ms = best_ms(lambda: stock.run(None, feeds)), best_ms(lambda: ours.run(None, feeds))
    print(f"{name}: {'same' if same else 'DIFFERENT'}, {stock_ms:.3f} ms without, {our_ms:.3f} ms with the library")
    return same


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(7)
    made = {
        "TernaryConv": ternary_conv(rng, adds=False, stride=1),
        "TernaryConvAdd, stride 2": ternary_conv(rng, adds=True, stride=2),
        "TernaryMatMul": ternary_matmul(rng),
        "MaxPool": max_pool(),
    }
    print(f"onnxruntime {ort.__version__}, onnx {onnx.__version__}")
    sources = list(made.items()) + [(path, path) for path in arguments.models]
    results = [compare(name, source, arguments.library, arguments.threads) for name, source in sources]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
