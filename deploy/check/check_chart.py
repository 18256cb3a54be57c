"""Checks the Helm chart from outside: rendered with several values, each object against the schema of its kind.

    pip install -r deploy/check/requirements.txt
    python deploy/check/check_chart.py --helm HELM --crds FOLDER [FOLDER …]

CRDS are folders with the definitions of the kinds that Kubernetes lacks: config/crd/bases of KEDA, example/prometheus-operator-crd
of the Prometheus operator.
"""
import argparse
import copy
import pathlib
import subprocess
import sys

import jsonschema
import kubernetes_validate
import yaml

CHART = pathlib.Path(__file__).parent.parent / "helm" / "tritforge"
KUBERNETES = "1.32"
EVERYTHING = [
    "autoscaling.enabled=true", "redis.enabled=true", "metrics.podMonitor.enabled=true", "settings.TRITFORGE_LOG_LEVEL=debug",
    "api.ingress.enabled=true", "api.ingress.className=nginx", "api.ingress.tlsSecretName=tls", "serviceAccount.annotations.a=b",
    "imagePullSecrets[0].name=registry", "settingsFrom[0].secretRef.name=more", "api.podAnnotations.a=b", "worker.podAnnotations.a=b",
    "api.nodeSelector.disk=fast", "worker.nodeSelector.disk=fast", "worker.settings.TRITFORGE_JOB_THREADS=2", "storage.storageClassName=nfs",
]
VARIANTS = {
    "defaults": [],
    "everything": EVERYTHING,
    "one of each": ["api.replicas=1", "worker.replicas=0", "storage.existingClaim=mine", "serviceAccount.create=false"],
}


def render(helm, values):
    flags = [part for value in values for part in ("--set", value)]
    command = [helm, "template", "release", str(CHART), "--namespace", "tritforge", "--kube-version", f"{KUBERNETES}.0", *flags]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [document for document in yaml.safe_load_all(text) if document]


class Loader(yaml.CSafeLoader):
    """YAML 1.1 has a type of its own for a lone =, which enumerations of operators mean as text."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)


def definitions(folders):
    """Schemas by version and kind. Fields that a schema does not know are errors, as with kubectl."""
    schemas = {}
    for folder in folders:
        for file in sorted(pathlib.Path(folder).glob("*.yaml")):
            for crd in yaml.load_all(file.read_text(), Loader):
                for version in crd["spec"]["versions"]:
                    key = (f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"])
                    schemas[key] = closed(version["schema"]["openAPIV3Schema"])
    return schemas


def closed(schema):
    schema = copy.deepcopy(schema)
    stack = [schema["properties"]["spec"]]
    while stack:
        node = stack.pop()
        if not isinstance(node, dict):
            continue
        if "properties" in node and "additionalProperties" not in node and not node.get("x-kubernetes-preserve-unknown-fields"):
            node["additionalProperties"] = False
        stack.extend(node.get("properties", {}).values())
        stack.extend(child for name in ("items", "additionalProperties") if (child := node.get(name)))
    return schema


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--helm", default="helm")
    parser.add_argument("--crds", nargs="+", required=True)
    arguments = parser.parse_args()
    subprocess.run([arguments.helm, "lint", "--strict", str(CHART)], check=True)
    schemas = definitions(arguments.crds)
    for name, values in VARIANTS.items():
        objects = render(arguments.helm, values)
        for found in objects:
            own = schemas.get((found["apiVersion"], found["kind"]))
            if own is None:
                kubernetes_validate.validate(found, KUBERNETES, strict=True)
            else:
                jsonschema.validate(found, own)
        print(f"{name}: {len(objects)} objects, {', '.join(sorted({found['kind'] for found in objects}))}")


if __name__ == "__main__":
    sys.exit(main())
