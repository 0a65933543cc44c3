"""Routing and reading, against what botocore itself sends for every operation of both planes."""

import itertools
import re
import time

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from portico.control.api.offered import OFFERED
from portico.control.api.parsing import parse_input
from portico.control.api.refused import REFUSALS, reason_of, reasons
from portico.control.api.service_model import CONTROL_PLANE, DATA_PLANE, ServiceModel
from portico.control.shapes import check_shape
from portico.crypto.sigv4 import SignedRequest
from support.model_inputs import broken, valid

MODEL = ServiceModel.load()
EVERY = sorted(MODEL.operations)
ARN = "arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A000000000000%3Agateway%2Ftools-0123456789"

#: Operations whose body is not a document of members: none of them is offered.
PAYLOADS = [name for name, found in MODEL.operations.items() if "payload" in found.shapes[found.input_shape]]
READABLE = [name for name in EVERY if name not in PAYLOADS]


def filled(operation, label=ARN):
    return re.sub(r"\{[^}]+\}", label, operation.template).encode()


def segments(template):
    return template.removesuffix("/").split("/")


def alike(one, other):
    """Whether one path could match both templates."""
    pairs = list(zip(segments(one.template), segments(other.template), strict=False))
    same_length = len(segments(one.template)) == len(segments(other.template))
    return same_length and all(a == b or a[0:1] == "{" or b[0:1] == "{" for a, b in pairs)


# --- routing ---------------------------------------------------------------------------------------------------------


def test_both_planes_have_all_of_their_operations():
    planes = [operation.plane for operation in MODEL.operations.values()]
    assert (planes.count(CONTROL_PLANE), planes.count(DATA_PLANE)) == (175, 75)


def test_no_request_can_mean_two_operations():
    collisions = [
        (one.name, other.name)
        for one, other in itertools.combinations(MODEL.operations.values(), 2)
        if one.method == other.method and alike(one, other)
    ]
    assert collisions == []


@pytest.mark.parametrize("name", EVERY)
def test_every_operation_is_found_by_its_method_and_path_with_an_encoded_arn_in_every_label(name):
    operation = MODEL.operations[name]
    route = MODEL.match(operation.method, filled(operation))
    assert route.operation.name == name
    assert set(route.labels.values()) <= {ARN}
    assert set(route.labels) == set(re.findall(r"\{([^}]+)\}", operation.template))


@pytest.mark.parametrize("name", EVERY)
def test_a_slash_at_the_end_makes_no_difference(name):
    operation = MODEL.operations[name]
    path = filled(operation).removesuffix(b"/")
    for form in (path, path + b"/"):
        assert MODEL.match(operation.method, form).operation.name == name


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", b"/"),
        ("GET", b""),
        ("GET", b"/gateway"),
        ("PATCH", b"/gateways/"),
        ("HEAD", b"/gateways/"),
        ("get", b"/gateways/"),
        ("GET", b"//gateways/"),
        ("GET", b"/gateways//x/"),
        ("GET", b"/Gateways/"),
        ("GET", b"/%67ateways/"),
        ("GET", b"/g/../gateways/"),
        ("GET", b"/gateways/x/targets/y/z/"),
        ("GET", b"/gateways/\xff/"),
        ("GET", b"/g/tools-0123456789/mcp"),
        ("GET", b"/healthz"),
        ("POST", b"/i/main/token"),
        ("POST", b"/token"),
        ("GET", b"/.well-known/oauth-protected-resource"),
    ],
)
def test_a_path_that_is_nobodys_is_nobodys(method, path):
    assert MODEL.match(method, path) is None


# --- what is offered -------------------------------------------------------------------------------------------------


def test_every_operation_is_either_offered_or_refused_with_a_reason():
    assert sorted([*OFFERED, *reasons()]) == EVERY


def test_no_operation_is_refused_twice():
    names = [name for refusal in REFUSALS for name in refusal.names.split()]
    assert len(names) == len(set(names))


def test_an_operation_that_nobody_has_heard_of_is_refused_too():
    assert reason_of("ReadMinds") == "it is newer than this release"


def test_whatever_is_offered_has_a_body_of_members():
    assert OFFERED.keys().isdisjoint(PAYLOADS)


# --- reading what botocore sends -------------------------------------------------------------------------------------


class Wire:
    """boto3's clients of both planes, whose requests are taken off before they are sent."""

    def __init__(self):
        self.sent = []
        config = Config(parameter_validation=False)
        self.clients = {
            plane: boto3.client(
                plane,
                region_name="us-east-1",
                endpoint_url="http://portico.example",
                aws_access_key_id="x",
                aws_secret_access_key="x",
                config=config,
            )
            for plane in (CONTROL_PLANE, DATA_PLANE)
        }
        for made in self.clients.values():
            made.meta.events.register("before-send", self._take)

    def _take(self, request, **_):
        self.sent.append(request)
        response = AWSResponse(request.url, 204, {}, None)
        response._content = b""
        return response

    def request(self, operation, document):
        """Return what boto3 sends for an operation."""
        made = self.clients[operation.plane]
        made._make_api_call(operation.name, document)
        request = self.sent.pop()
        path, _, query = request.url.removeprefix("http://portico.example").partition("?")
        body = request.body or b""
        return (
            SignedRequest(
                method=request.method,
                raw_path=path.encode(),
                query=query.encode(),
                headers=tuple((name.lower().encode(), _bytes(value)) for name, value in request.headers.items()),
            ),
            body.encode() if isinstance(body, str) else bytes(body),
        )


def _bytes(value):
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def wire():
    return Wire()


def plain(shapes, name, value):
    """A document whose headers are texts, as they travel."""
    members = shapes[name].get("members", {})
    return {
        key: str(entry).strip() if members.get(key, {}).get("location") == "header" else entry
        for key, entry in value.items()
    }


def sendable(operation, value):
    """Whether botocore can send a value at all: no empty label, nothing that its serializer changes.

    A required list in the query is not sent when it is empty, and is then missing.
    """
    members = operation.input_members
    required = operation.shapes[operation.input_shape].get("required", ())
    if any(members[name].get("location") == "querystring" and value.get(name) == [] for name in required):
        return False
    return all(
        not (spec.get("location") in {"uri", "header"} and value.get(member) is not None and not value[member].strip())
        for member, spec in members.items()
    )


@given(st.data())
def test_what_botocore_sends_is_read_as_what_it_was_given(wire, data):
    operation = MODEL.operations[data.draw(st.sampled_from(READABLE))]
    no_times = {name: st.nothing() for name, shape in operation.shapes.items() if shape["type"] == "timestamp"}
    document = data.draw(
        valid(operation.shapes, operation.input_shape, optional=lambda where: not _holds(operation, where, no_times))
    )
    if not sendable(operation, document) or _times(operation):
        return
    head, body = wire.request(operation, _as_botocore(operation, document))
    route = MODEL.match(head.method, head.raw_path)
    assert route.operation.name == operation.name
    parsed = parse_input(route, head, body)
    assert parsed.faults == ()
    expected = _without_empty(plain(operation.shapes, operation.input_shape, document), operation)
    tokens = [name for name, spec in operation.input_members.items() if spec.get("idempotencyToken")]
    kept = {name: value for name, value in parsed.document.items() if name in expected or name not in tokens}
    assert _without_empty(plain(operation.shapes, operation.input_shape, kept), operation) == expected
    assert check_shape(operation.input_shape, parsed.document, shapes=operation.shapes) == []


def _holds(operation, where, shapes):
    shape, _, member = where.partition(".")
    return operation.shapes[shape]["members"][member]["shape"] in shapes


def _times(operation):
    """Whether a required member is a time, which botocore takes in a form of its own."""
    return "timestamp" in str([operation.shapes[spec["shape"]]["type"] for spec in operation.input_members.values()])


def _without_empty(document, operation):
    """Leave out empty lists and maps of the query: there is no way to send one."""
    query = {name for name, spec in operation.input_members.items() if spec.get("location") == "querystring"}
    return {name: value for name, value in document.items() if not (name in query and value == [])}


def _as_botocore(operation, document):
    """Members of bodies bear the model's names in Python."""
    return _renamed(operation.shapes, operation.input_shape, document)


def _renamed(shapes, name, value):
    shape = shapes[name]
    if shape.get("document"):
        return value
    match shape["type"]:
        case "structure":
            names = {
                (member if "location" in spec else spec.get("locationName", member)): (member, spec)
                for member, spec in shape.get("members", {}).items()
            }
            return {names[key][0]: _renamed(shapes, names[key][1]["shape"], entry) for key, entry in value.items()}
        case "list":
            return [_renamed(shapes, shape["member"]["shape"], entry) for entry in value]
        case "map":
            return {key: _renamed(shapes, shape["value"]["shape"], entry) for key, entry in value.items()}
        case _:
            return value


# --- judging ---------------------------------------------------------------------------------------------------------


@given(st.data())
def test_what_the_model_allows_is_in_order_and_each_broken_constraint_is_named_with_its_path(data):
    operation = MODEL.operations[data.draw(st.sampled_from(EVERY))]
    document = data.draw(valid(operation.shapes, operation.input_shape))
    assert check_shape(operation.input_shape, document, shapes=operation.shapes) == []
    for way in broken(operation.shapes, operation.input_shape, document):
        faults = check_shape(operation.input_shape, way.document, shapes=operation.shapes)
        assert way.path in [fault.path for fault in faults], (way, faults)


def reachable(shapes, name, seen):
    if name not in seen:
        seen.add(name)
        shape = shapes[name]
        inner = [
            *shape.get("members", {}).values(),
            *(shape[part] for part in ("member", "key", "value") if part in shape),
        ]
        for spec in inner:
            reachable(shapes, spec["shape"], seen)
    return seen


def test_no_pattern_of_what_is_offered_takes_long_on_a_text_made_to_make_it():
    patterns = set()
    for name in OFFERED:
        shapes = MODEL.operations[name].shapes
        found = reachable(shapes, MODEL.operations[name].input_shape, set())
        patterns |= {shapes[shape]["pattern"] for shape in found if "pattern" in shapes[shape]}
    hostile = ["a" * 4096, "-" * 4096, "a-" * 2048, "1" * 4095 + "!", "/" * 4096, "a:" * 2048, "." * 4096, "a/" * 2048]
    slow = []
    for pattern in sorted(patterns):
        started = time.process_time()  # what it costs, however little of the machine it gets
        for text in hostile:
            check_shape("T", text, shapes={"T": {"type": "string", "pattern": pattern}})
        seconds = time.process_time() - started
        if seconds > 1:
            slow.append((pattern, seconds))
    assert slow == []


def test_a_million_wrong_entries_get_no_million_answers():
    shapes = {"L": {"type": "list", "member": {"shape": "S"}}, "S": {"type": "string"}}
    assert len(check_shape("L", [1] * 100_000, shapes=shapes)) == 100
