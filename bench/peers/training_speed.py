"""Training steps of a network from its ONNX file in PyTorch on the CPU, one thread, on demand.

    python training_speed.py '{"model": PATH, "batch": 64, "batchStatistics": true, "layouts": ["contiguous", "channels_last"]}'

Prints the versions as one line of JSON, then for every line of input, the name of a layout, makes a step (gradients, SGD with momentum)
and prints {"milliseconds": …, "cpuMilliseconds": …, "loss": …}. A layout with the suffix "+compile" goes through torch.compile.
"""

import json
import sys
import time

import numpy
import onnx
import torch
import torch.fx
import torch.nn.functional as functional
from onnx import numpy_helper

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Network(torch.nn.Module):
    """Runs the nodes of a convolutional network. What nothing else reads is overwritten, as hand-written models do."""

    def __init__(self, model):
        super().__init__()
        graph = model.graph
        self.input = next(value.name for value in graph.input if value.name not in {t.name for t in graph.initializer})
        self.nodes = [node for node in graph.node if node.op_type != "Softmax"]
        self.output = self.nodes[-1].output[0]
        constants = {tensor.name: numpy_helper.to_array(tensor).copy() for tensor in graph.initializer}
        statistics = {name for node in self.nodes if node.op_type == "BatchNormalization" for name in node.input[3:]}
        self.lists = {name: value.tolist() for name, value in constants.items() if value.dtype == numpy.int64}
        self.tensors = torch.nn.ParameterDict()
        self.keys = {}
        for name, value in constants.items():
            if value.dtype == numpy.float32:
                self.keys[name] = f"t{len(self.keys)}"
                self.tensors[self.keys[name]] = torch.nn.Parameter(torch.from_numpy(value), name not in statistics)
        uses = [name for node in self.nodes for name in node.input]
        self.single = {name for name in uses if uses.count(name) == 1}
        self.attributes = [{a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} for node in self.nodes]

    def forward(self, x):
        values = {name: self.tensors[key] for name, key in self.keys.items()} | {self.input: x}
        for node, attributes in zip(self.nodes, self.attributes):
            values[node.output[0]] = getattr(self, node.op_type)(node, attributes, values.__getitem__)
        return values[self.output]

    def Conv(self, node, attributes, get):
        pads = attributes.get("pads", [0, 0, 0, 0])
        assert pads[:2] == pads[2:]
        x, w, *bias = map(get, node.input)
        options = dict(stride=attributes.get("strides", 1), padding=pads[:2], dilation=attributes.get("dilations", 1))
        return functional.conv2d(x, w, bias[0] if bias else None, groups=attributes.get("group", 1), **options)

    def BatchNormalization(self, node, attributes, get):
        x, scale, bias, mean, variance = map(get, node.input)
        return functional.batch_norm(x, mean, variance, scale, bias, self.training, 0.1, attributes.get("epsilon", 1e-5))

    def Relu(self, node, attributes, get):
        x = get(node.input[0])
        return functional.relu_(x) if node.input[0] in self.single else functional.relu(x)

    def Add(self, node, attributes, get):
        a, b = node.input
        return get(a).add_(get(b)) if a in self.single else get(a) + get(b)

    Sum = Add

    def Slice(self, node, attributes, get):
        index = [slice(None)] * 4
        starts, ends, axes, steps = (self.lists[name] for name in node.input[1:])
        for start, end, axis, step in zip(starts, ends, axes, steps):
            index[axis] = slice(start, min(end, sys.maxsize), step)
        return get(node.input[0])[tuple(index)]

    def Pad(self, node, attributes, get):
        pads = self.lists[node.input[1]]
        rank = len(pads) // 2
        return functional.pad(get(node.input[0]), [p for i in reversed(range(rank)) for p in (pads[i], pads[rank + i])])

    def MaxPool(self, node, attributes, get):
        return functional.max_pool2d(get(node.input[0]), attributes["kernel_shape"], attributes["strides"], attributes["pads"][:2])

    def AveragePool(self, node, attributes, get):
        return functional.avg_pool2d(get(node.input[0]), attributes["kernel_shape"], attributes["strides"])

    def GlobalAveragePool(self, node, attributes, get):
        return get(node.input[0]).mean((2, 3), keepdim=True)

    def Flatten(self, node, attributes, get):
        return get(node.input[0]).flatten(1)

    Reshape = Flatten

    def Gemm(self, node, attributes, get):
        a, b, c = map(get, node.input)
        return functional.linear(a, b if attributes.get("transB", 0) else b.T, c)


def stepper(request, layout):
    """A function that makes one step and returns the loss."""
    format_name, _, suffix = layout.partition("+")
    memory_format = FORMATS[format_name]
    torch.manual_seed(1)
    network = Network(onnx.load(request["model"])).to(memory_format=memory_format)
    network.train(request["batchStatistics"])
    image = request["image"]
    x = torch.randn(request["batch"], *image).to(memory_format=memory_format)
    labels = torch.arange(request["batch"]) % request["classes"]
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1e-3, momentum=0.9)
    # The same operators one after the other, which torch.compile can look into.
    traced = torch.fx.symbolic_trace(network)
    forward = torch.compile(traced) if suffix == "compile" else traced

    def step():
        optimiser.zero_grad()
        loss = functional.cross_entropy(forward(x), labels)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def main():
    request = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    steppers = {layout: stepper(request, layout) for layout in request["layouts"]}
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        begin, cpu_begin = time.perf_counter(), time.process_time()
        loss = steppers[line.strip()]()
        milliseconds, cpu = 1e3 * (time.perf_counter() - begin), 1e3 * (time.process_time() - cpu_begin)
        print(json.dumps({"milliseconds": milliseconds, "cpuMilliseconds": cpu, "loss": loss}), flush=True)


main()
