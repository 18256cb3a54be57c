"""Quantizes one model with onnxruntime's own tools, as a request in JSON says, and prints what became of it as JSON.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r bench/peers/accuracy-requirements.txt
    /tmp/peers/bin/python bench/peers/quantize.py '{"model": "model.onnx", "output": "int8.onnx",
        "calibration": "calibration.npz", "tool": "static", "calibrate": "MinMax"}'

`npm run bench -- peers` makes the requests and measures the outputs. Dimension 0 of every calibration array counts the runs.
tool "static": quantize_static after quant_pre_process, QDQ, per channel, int8 weights and uint8 activations; "calibrate" is MinMax,
Entropy or Percentile, and "operators" may name those to quantize. Where the tool fails on a model it is tried again with the switches that it has for that, and "switches" of the
output names them. tool "nbits": MatMulNBitsQuantizer; "algorithm" is rtn, hqq, gptq or
gptq-mended, "bits" 4 or 2, "block" a size.

gptq of onnxruntime 1.31 rounds to nearest: it takes the upper Cholesky factor of the inverse of H and reads it below the diagonal, where
there are zeros, so that no column hears of the error of another. gptq-mended gives it the lower factor, which is what it reads as;
nothing else differs. That is a stronger peer than the tool is.
"""

import contextlib
import json
import logging
import os
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    matmul_nbits_quantizer,
    quant_pre_process,
    quantize_static,
)

LAYERS = ("Conv", "Gemm", "MatMul")
# Histograms keep all values of so many runs at a time.
RUNS_AT_A_TIME = 32


class Runs(CalibrationDataReader):
    """Feeds from an .npz, one run after the other."""

    def __init__(self, path):
        arrays = np.load(path)
        self.arrays = {name: arrays[name] for name in arrays.files}
        self.count = len(next(iter(self.arrays.values())))
        self.set_range(0, self.count)

    def __len__(self):
        return self.count

    def set_range(self, start_index, end_index):
        self.left = iter(range(start_index, min(end_index, self.count)))

    def get_next(self):
        index = next(self.left, None)
        return None if index is None else {name: np.asarray(array[index]) for name, array in self.arrays.items()}


def prepare(model, prepared):
    """Prepares a model; returns what had to be switched off for that."""
    try:
        quant_pre_process(model, prepared)
        return []
    except Exception:
        quant_pre_process(model, prepared, skip_symbolic_shape=True)
        return ["skip_symbolic_shape"]


def quantize_to_int8(request):
    """Quantizes; returns the switches without which the tool fails on this model."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = os.path.join(folder, "prepared.onnx")
        switches = prepare(request["model"], prepared)

        def quantize(**extra):
            runs = Runs(request["calibration"])
            strided = {"CalibStridedMinMax": RUNS_AT_A_TIME} if len(runs) % RUNS_AT_A_TIME == 0 else {}
            quantize_static(
                prepared,
                request["output"],
                runs,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=request.get("operators"),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=getattr(CalibrationMethod, request["calibrate"]),
                extra_options={**strided, **extra},
            )

        try:
            quantize()
            return switches
        except ValueError:
            quantize(QDQDisableWeightAdjustForInt32Bias=True)
            return [*switches, "QDQDisableWeightAdjustForInt32Bias"]


@contextlib.contextmanager
def lower_factor():
    """Lets `np.linalg.cholesky(…).T` be the lower factor."""
    cholesky = np.linalg.cholesky
    np.linalg.cholesky = lambda matrix: cholesky(matrix).T
    try:
        yield
    finally:
        np.linalg.cholesky = cholesky


def quantize_to_nbits(request):
    bits, block = request["bits"], request["block"]
    model = onnx.load(request["model"])
    if request["algorithm"] == "rtn":
        config = matmul_nbits_quantizer.DefaultWeightOnlyQuantConfig(block_size=block, bits=bits)
    elif request["algorithm"] == "hqq":
        config = matmul_nbits_quantizer.HQQWeightOnlyQuantConfig(block_size=block, bits=bits)
    else:
        config = matmul_nbits_quantizer.GPTQWeightOnlyQuantConfig(Runs(request["calibration"]), block_size=block)
        # The configuration has no field for the bits; what the quantizer reads them from is of its base class.
        config.customized_weight_config = {node.name: {"bits": bits} for node in model.graph.node}
    quantizer = matmul_nbits_quantizer.MatMulNBitsQuantizer(model, block_size=block, algo_config=config)
    with lower_factor() if request["algorithm"] == "gptq-mended" else contextlib.nullcontext():
        quantizer.process()
    quantizer.model.save_model_to_file(request["output"])


def weight_of(node, initializers):
    """Name of the constant weight of a layer, or None."""
    if node.op_type not in LAYERS:
        return None
    return next((name for name in node.input if name in initializers and len(initializers[name].dims) >= 2), None)


def describe(original, quantized):
    """Layers and weights that were quantized, and the bytes that their codes, scales and zero points take."""
    before = {tensor.name: tensor for tensor in original.graph.initializer}
    after = {tensor.name: tensor for tensor in quantized.graph.initializer}
    size_of = lambda name: after[name].ByteSize() if not after[name].raw_data else len(after[name].raw_data)
    layers = [node for node in original.graph.node if weight_of(node, before)]
    found = {"layers": 0, "weights": 0, "bytes": 0, "bits": None}

    def add(weights, names, bits):
        found["layers"] += 1
        found["weights"] += weights
        found["bytes"] += sum(size_of(name) for name in names if name in after)
        found["bits"] = bits

    dequantized = {node.output[0]: node for node in quantized.graph.node if node.op_type == "DequantizeLinear"}
    for node in quantized.graph.node:
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        if node.op_type == "MatMulNBits":
            add(attributes["K"] * attributes["N"], node.input[1:4], attributes["bits"])
        elif node.op_type in LAYERS:
            weight = next((dequantized[name] for name in node.input[1:2] if name in dequantized), None)
            if weight is not None and weight.input[0] in after:
                add(int(np.prod(after[weight.input[0]].dims)), weight.input, 8)
    # What GPTQ cannot pack it stores as floats of few values, under a new name.
    replaced = [node for node in quantized.graph.node if node.op_type == "MatMul" and "_Q" in node.input[1]]
    return {**found, "ofLayers": len(layers), "keptAsFloats": len([n for n in replaced if n.input[1] in after])}


def main():
    logging.disable(logging.INFO)
    request = json.loads(sys.argv[1])
    started = time.perf_counter()
    sys.stdout = sys.stderr  # Tools print what they are at.
    switches = []
    if request["tool"] == "static":
        switches = quantize_to_int8(request)
    else:
        quantize_to_nbits(request)
    seconds = time.perf_counter() - started
    described = describe(onnx.load(request["model"]), onnx.load(request["output"]))
    versions = {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__, "numpy": np.__version__}
    json.dump({**described, "seconds": seconds, "switches": switches, "versions": versions}, sys.__stdout__)


if __name__ == "__main__":
    main()
