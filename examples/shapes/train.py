"""Makes the shapes example: draws the images, trains the classifier on them, and writes every file of this folder.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt && venv/bin/python train.py

How the committed files were made: PyTorch 2.8.0 on one thread of an x86-64 CPU, 4 minutes for 16 epochs over 24,000
drawn images (AdamW, one-cycle schedule, label smoothing 0.05, seed 1). The images depend on nothing but draw.py and the
versions in requirements.txt; the weights come out the same on the same kind of CPU, and on another may end up elsewhere
and a few tenths of a point better or worse.
"""

import argparse
import io
import json
import pathlib
import time
import zipfile

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import nn

from draw import CLASSES, COLOURS, SIDE, draw_set

HERE = pathlib.Path(__file__).parent
MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)
WIDTHS = (16, 32, 64)
TRAIN_SEED, VALIDATION_SEED, CALIBRATION_SEED, EVALUATION_SEED = 1, 2, 3, 4


class Block(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut, as in ResNet."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if stride != 1 else None

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.stem_bn = nn.BatchNorm2d(WIDTHS[0])
        self.blocks = nn.ModuleList(
            [Block(WIDTHS[0], WIDTHS[0], 1), Block(WIDTHS[0], WIDTHS[1], 2), Block(WIDTHS[1], WIDTHS[2], 2)]
        )
        self.head = nn.Linear(WIDTHS[-1], len(CLASSES))

    def forward(self, x):
        x = torch.relu(self.stem_bn(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


def to_input(images):
    """uint8 NHWC to the float32 NCHW that the network takes; preprocess.json says the same."""
    scaled = images.astype(np.float32) / np.float32(255)
    return ((scaled - np.float32(MEAN)) / np.float32(STD)).transpose(0, 3, 1, 2).copy()


def train(images, labels, epochs, batch=128):
    torch.manual_seed(1)
    torch.use_deterministic_algorithms(True)
    model = Classifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3, weight_decay=0.02)
    steps = len(images) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=epochs * steps, pct_start=0.2)
    x, y = torch.from_numpy(to_input(images)), torch.from_numpy(labels.astype(np.int64))
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    for epoch in range(epochs):
        model.train()
        total, started = 0.0, time.monotonic()
        order = torch.randperm(len(x))
        for step in range(steps):
            index = order[step * batch : (step + 1) * batch]
            # A rotation by quarter turns changes no label: every class is drawn at any angle.
            picture = torch.rot90(x[index], int(torch.randint(4, ())), (2, 3))
            loss = loss_of(model(picture), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{epochs} loss {total / steps:.4f} ({time.monotonic() - started:.0f} s)", flush=True)
    return model.eval()


class GraphWriter:
    """Collects ONNX nodes and weights; batch normalization is left as a node of its own."""

    def __init__(self):
        self.nodes, self.initializers = [], []

    def weight(self, name, tensor):
        self.initializers.append(numpy_helper.from_array(tensor.detach().numpy(), name))
        return name

    def node(self, op, name, inputs, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [f"{name}_output"], name, **attributes))
        return f"{name}_output"

    def conv(self, name, x, layer):
        pad, stride = layer.padding[0], layer.stride[0]
        weight = self.weight(f"{name}.weight", layer.weight)
        size = list(layer.kernel_size)
        return self.node("Conv", name, [x, weight], kernel_shape=size, pads=[pad] * 4, strides=[stride] * 2)

    def norm(self, name, x, layer):
        parts = (("weight", layer.weight), ("bias", layer.bias), ("mean", layer.running_mean), ("var", layer.running_var))
        return self.node("BatchNormalization", name, [x, *(self.weight(f"{name}.{k}", v) for k, v in parts)], epsilon=layer.eps)


def to_onnx(model):
    g = GraphWriter()
    x = g.node("Relu", "/stem/relu", [g.norm("/stem/bn", g.conv("/stem/conv", "image", model.stem), model.stem_bn)])
    for i, block in enumerate(model.blocks, 1):
        at = f"/block{i}"
        y = g.node("Relu", f"{at}/relu1", [g.norm(f"{at}/bn1", g.conv(f"{at}/conv1", x, block.conv1), block.bn1)])
        y = g.norm(f"{at}/bn2", g.conv(f"{at}/conv2", y, block.conv2), block.bn2)
        shortcut = x if block.shortcut is None else g.conv(f"{at}/shortcut", x, block.shortcut)
        x = g.node("Relu", f"{at}/relu2", [g.node("Add", f"{at}/add", [y, shortcut])])
    x = g.node("Flatten", "/flatten", [g.node("GlobalAveragePool", "/pool", [x])], axis=1)
    head = [x, g.weight("/head.weight", model.head.weight), g.weight("/head.bias", model.head.bias)]
    g.nodes.append(helper.make_node("Gemm", head, ["logits"], "/head", transB=1))
    graph = helper.make_graph(
        g.nodes,
        "shapes",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(CLASSES)])],
        g.initializers,
    )
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8, producer_name="tritforge-examples")
    onnx.checker.check_model(result, full_check=True)
    return result


def accuracy(images, labels):
    session = onnxruntime.InferenceSession(str(HERE / "model.onnx"))
    logits = session.run(None, {"image": to_input(images)})[0]
    return 100 * float((logits.argmax(1) == labels).mean())


def add(archive, name, content, method):
    archive.writestr(zipfile.ZipInfo(name), content, method, 9)


def write_calibration(images):
    """Calibration: an .npz of one uint8 array named as the model's input, in the model's layout, without labels."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    with zipfile.ZipFile(HERE / "calibration.npz", "w") as archive:
        add(archive, "image.npy", buffer.getvalue(), zipfile.ZIP_DEFLATED)


def write_evaluation(images, labels):
    """Evaluation: a .zip of PNG images with their labels in a csv."""
    rows = ["file,label"]
    with zipfile.ZipFile(HERE / "evaluation.zip", "w") as archive:
        for i, (pixels, label) in enumerate(zip(images, labels)):
            buffer = io.BytesIO()
            image = Image.fromarray(pixels).quantize(COLOURS)
            assert np.array_equal(np.asarray(image.convert("RGB")), pixels), "the palette must lose nothing"
            image.save(buffer, "PNG", optimize=True)
            add(archive, f"{i:04}.png", buffer.getvalue(), zipfile.ZIP_STORED)
            rows.append(f"{i:04}.png,{label}")
        add(archive, "labels.csv", "\n".join(rows) + "\n", zipfile.ZIP_DEFLATED)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--train-images", type=int, default=24_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    evaluation = draw_set(1024, EVALUATION_SEED)
    write_calibration(draw_set(256, CALIBRATION_SEED)[0])
    write_evaluation(*evaluation)
    preprocess = {"scale": 1 / 255, "mean": MEAN, "std": STD, "layout": "nchw"}
    (HERE / "preprocess.json").write_text(json.dumps(preprocess, indent=2) + "\n")
    model = train(*draw_set(options.train_images, TRAIN_SEED), options.epochs)
    onnx.save(to_onnx(model), HERE / "model.onnx")
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {(time.monotonic() - started) / 60:.1f} minutes")
    print(f"top-1: evaluation {accuracy(*evaluation):.2f} %, validation {accuracy(*draw_set(4096, VALIDATION_SEED)):.2f} %")


if __name__ == "__main__":
    main()
