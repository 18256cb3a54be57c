"""Runs the artifacts of `npm run bench -- profiles SETS OUT` in Python's onnxruntime and compares with what Node's computed.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r bench/peers/requirements.txt
    /tmp/peers/bin/python bench/peers/check_profiles.py OUT

Outputs must agree within 1e-5 of the largest. Every file is also checked by onnx. Exits with 1 when any differs.
"""

import argparse
import json
import os
import sys

import numpy as np
import onnx
import onnxruntime as ort

TOLERANCE = 1e-5


def difference(expected, actual):
    """Largest difference as a share of the largest value; shapes that differ are all the way off."""
    if expected.shape != actual.shape:
        return float("inf")
    if expected.size == 0:
        return 0.0
    gap = np.abs(expected.astype(np.float64) - actual.astype(np.float64)).max()
    return float(gap / max(np.abs(expected).max(), 1e-30))


def check_by_onnx(path):
    """The checker knows the standard domain alone; models that import others are loaded only."""
    model = onnx.load(path)
    if all(opset.domain in ("", "ai.onnx") for opset in model.opset_import):
        onnx.checker.check_model(path, full_check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    out = parser.parse_args().out
    with open(os.path.join(out, "cases.json"), encoding="utf-8") as file:
        cases = json.load(file)
    worst = {}
    for case in cases:
        artifact = case["artifact"]
        if artifact not in worst:
            check_by_onnx(artifact)
            worst[artifact] = 0.0
            session = ort.InferenceSession(artifact, providers=["CPUExecutionProvider"])
        arrays = np.load(case["arrays"])
        feeds = {name: arrays[key] for name, key in case["inputs"].items()}
        names = list(case["outputs"])
        for name, actual in zip(names, session.run(names, feeds)):
            worst[artifact] = max(worst[artifact], difference(arrays[case["outputs"][name]], np.asarray(actual)))
    failed = [artifact for artifact, gap in worst.items() if gap > TOLERANCE]
    for artifact in failed:
        print(f"differs by {worst[artifact]:.1e}: {artifact}")
    same = sum(gap == 0 for gap in worst.values())
    print(f"onnxruntime {ort.__version__}, onnx {onnx.__version__}: {len(worst)} artifacts, {same} with identical outputs, "
          f"the others within {max(worst.values(), default=0):.1e}")
    sys.exit(1 if failed or not worst else 0)


if __name__ == "__main__":
    main()
