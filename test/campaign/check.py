"""Sends thousands of requests that the OpenAPI document allows, and as many that it does not, to a service that it starts.

    python3 -m venv venv && venv/bin/pip install -r test/campaign/requirements.txt
    venv/bin/python test/campaign/check.py --cases 10000 --seed 1

Every answer must be one that the document describes: no 5xx, a known status with the headers, the content type and the body that belong to
it, and of problems a code that the operation names. The same seed sends the same requests, apart from the ids of what there is.
"""

import argparse
import collections
import pathlib
import random
import sys
import tempfile
import time

import hypothesis
import requests
import schemathesis
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from resources import Resources, make_keys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "clients/python"))

from started_service import started_service  # noqa: E402

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Pieces of uploads are bytes.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
# Requests of a round to an operation; those that a process of its own looks at take longer.
CASES_OF_A_ROUND = 40
CASES_OF_AN_UPLOAD = 15
UPLOADS = ("POST /models", "POST /datasets", "POST /jobs")
TIMEOUT_SECONDS = 60


class Campaign:
    def __init__(self, url, document, keys, resources, seed):
        self.url = url
        self.document = document
        self.keys = keys
        self.resources = resources
        self.random = random.Random(seed)
        self.session = requests.Session()
        self.outcomes = collections.defaultdict(collections.Counter)
        self.failures = {}

    @property
    def cases(self):
        return sum(sum(statuses.values()) for statuses in self.outcomes.values())

    def round(self, operations, seed):
        """Sends cases of every operation, half of them as the document has them and half of them not."""
        for operation in operations:
            count = CASES_OF_AN_UPLOAD if operation.label in UPLOADS else CASES_OF_A_ROUND
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                try:
                    self.send_cases(operation, mode, count, seed)
                except Unsatisfiable:
                    # There is nothing that the document would not allow.
                    pass

    def send_cases(self, operation, mode, count, seed):
        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def each(case):
            self.send(case)

        each()

    def send(self, case):
        label = case.operation.label
        self.resources.fill(case, self.random)
        authorization = self.keys.choose(label, self.random)
        headers = {} if authorization is None else {"authorization": authorization}
        sent = with_references(case.as_transport_kwargs(base_url=self.url, headers=headers))
        try:
            response = self.session.request(**sent, stream=True, timeout=TIMEOUT_SECONDS)
            if response.headers.get("content-type", "").startswith("text/event-stream"):
                # It has no end; that it began is what there is to see.
                response._content = b""
                response.close()
            self.outcomes[label][response.status_code] += 1
            case.validate_response(response, checks=CHECKS)
            self.check_code(label, case, response)
            self.resources.note(response)
        except (requests.exceptions.InvalidHeader, UnicodeError):
            # The client library does not send it.
            pass
        except (Exception, BaseExceptionGroup) as failure:
            # One of a kind is enough to see; the campaign goes on.
            kind = (label, type(failure).__name__, str(failure)[:120])
            self.failures.setdefault(kind, str(failure))

    def check_code(self, label, case, response):
        """The code of a problem is one that the operation names at its status."""
        if not response.headers.get("content-type", "").startswith("application/problem+json") or not response.content:
            return
        method, path = label.split(" ", 1)
        documented = self.document["paths"][path][method.lower()]["responses"][str(response.status_code)]
        examples = documented["content"]["application/problem+json"]["examples"]
        code = response.json()["code"]
        assert code in examples, f"{label} answers {response.status_code} with {code}, which is not among {', '.join(examples)}"


def with_references(sent):
    """What stands for a file is a field of a form and no file."""
    files = sent.get("files") or []
    fields = [(name, (None, part[1])) if str(part[1]).startswith("upload:") else (name, part) for name, part in files]
    return {**sent, "files": fields or None}


def report(campaign, seconds):
    statuses = sorted({status for counts in campaign.outcomes.values() for status in counts})
    width = max(map(len, campaign.outcomes))
    print(f"{'':{width}}  cases " + "".join(f"{status:>6}" for status in statuses))
    for label, counts in sorted(campaign.outcomes.items()):
        print(f"{label:{width}}  {sum(counts.values()):5} " + "".join(f"{counts[status] or '':>6}" for status in statuses))
    totals = sum(campaign.outcomes.values(), collections.Counter())
    print(f"{'all':{width}}  {campaign.cases:5} " + "".join(f"{totals[status]:>6}" for status in statuses))
    print(f"{campaign.cases} cases in {seconds:.0f} s")
    for (label, _, _), text in campaign.failures.items():
        print(f"\n--- {label}\n{text}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a part of the operations' names, such as 'POST /jobs'")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tritforge-campaign-") as data:
        pathlib.Path(data).chmod(0o755)
        settings = {"TRITFORGE_DATA_DIR": data, "TRITFORGE_ANONYMOUS": "never", "TRITFORGE_JOB_SECONDS": "20"}
        with started_service(**settings) as url:
            keys = make_keys(ROOT, data)
            schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
            operations = [found.ok() for found in schema.get_all_operations()]
            operations = [operation for operation in operations if arguments.only in operation.label]
            document = requests.get(f"{url}/openapi.json", timeout=TIMEOUT_SECONDS).json()
            campaign = Campaign(url, document, keys, Resources(ROOT, url, keys.admin), arguments.seed)
            started = time.monotonic()
            seed = arguments.seed
            while campaign.cases < arguments.cases:
                campaign.round(operations, seed)
                seed += 1
                print(f"{campaign.cases} cases, {len(campaign.failures)} failures", file=sys.stderr, flush=True)
            report(campaign, time.monotonic() - started)
            assert requests.get(f"{url}/health/ready", timeout=TIMEOUT_SECONDS).status_code == 200
    return 1 if campaign.failures else 0


if __name__ == "__main__":
    sys.exit(main())
