"""Real boto clients sign every operation of both planes, over real sockets, and every signature is accepted."""

import os
import threading
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.session
import pytest
from botocore.config import Config

from portico.authorizer.access_keys import AccessKeys, sealed_secret
from portico.authorizer.sigv4 import Signatures
from portico.crypto.keyring import Keyring
from portico.crypto.sigv4 import SignedRequest
from portico.model.errors import PorticoError
from portico.model.secret import Secret
from portico.storage import access_keys
from portico.storage.access_keys import AccessKeyRow
from support.signing import KEY_ID, REGION, SECRET

PLANES = ("bedrock-agentcore-control", "bedrock-agentcore")
#: A name that no path and no query holds as it is.
AWKWARD = "arn:aws:bedrock-agentcore:us-east-1:0:gateway/Käse & Brot=50% + 'x'~(1)*!;?#"
MAX_DEPTH = 6
SCALARS = {
    "string": AWKWARD,
    "blob": b"\x00\xff\x80",
    "timestamp": datetime(2026, 11, 21, tzinfo=UTC),
    "boolean": True,
}


@pytest.fixture
async def signatures(database):
    keyring = Keyring({"k1": os.urandom(32)})
    row = AccessKeyRow(
        id=KEY_ID,
        sealed_secret=sealed_secret(keyring, KEY_ID, Secret(SECRET)),
        name="ada",
        role="administrator",
        created_at=1,
    )
    async with database.write() as conn:
        await access_keys.add(conn, row)
    keys = AccessKeys(database, keyring)
    await keys.reload()
    return Signatures(keys, region=REGION)


class Verifier(ThreadingHTTPServer):
    """Answers 200 to whatever is signed as it should be, and writes down what was not."""

    daemon_threads = True

    def __init__(self, signatures):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.signatures = signatures
        self.refused = []
        self.accepted = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # an answer in one packet

    def serve(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path, _, query = self.path.partition("?")
        headers = tuple((name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in self.headers.items())
        request = SignedRequest(
            method=self.command, raw_path=path.encode("latin-1"), query=query.encode("latin-1"), headers=headers
        )
        try:
            self.server.signatures.verify(request, body)
            self.server.accepted.append((self.command, self.path))
        except PorticoError as error:
            self.server.refused.append((self.command, self.path, str(error)))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.send_header("content-type", "application/json")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"{}")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = serve  # noqa: N815 - names of http.server

    def log_message(self, *_):
        pass


@pytest.fixture
def verifier(signatures):
    server = Verifier(signatures)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def client_of(verifier):
    made = []

    def make(plane, *, scheme="http"):
        session = botocore.session.Session()
        client = session.create_client(
            plane,
            region_name=REGION,
            endpoint_url=f"{scheme}://127.0.0.1:{verifier.server_port}",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
        )
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def given(shape, depth=0):
    """A value for a shape, awkward where it is text: every member of it, as deep as makes sense."""
    match shape.type_name:
        case "structure":
            members = shape.members.items()
            if getattr(shape, "is_tagged_union", False):
                members = list(members)[:1]
            return {name: given(member, depth + 1) for name, member in members if depth < MAX_DEPTH}
        case "list":
            return [given(shape.member, depth + 1)] if depth < MAX_DEPTH else []
        case "map":
            return {"Key": given(shape.value, depth + 1)} if depth < MAX_DEPTH else {}
        case kind:
            return SCALARS.get(kind, 7)


def header_safe(shape, value):
    """Members that travel as headers hold what a header can."""
    for name, member in shape.members.items():
        if member.serialization.get("location") in {"header", "headers"} and isinstance(value.get(name), str):
            value[name] = "in a header,  with  spaces"
    return value


@pytest.mark.parametrize("plane", PLANES)
def test_botocore_s_signature_of_every_operation_is_accepted(client_of, verifier, plane):
    client = client_of(plane)
    model = client.meta.service_model
    called = Counter()
    for name in model.operation_names:
        shape = model.operation_model(name).input_shape
        if model.operation_model(name).has_event_stream_input:
            continue  # botocore has no such client
        request = header_safe(shape, given(shape)) if shape is not None else {}
        before = len(verifier.accepted) + len(verifier.refused)
        client._make_api_call(name, request)
        called[name] += len(verifier.accepted) + len(verifier.refused) - before
    assert verifier.refused == []
    assert {name for name, times in called.items() if times != 1} == set()
    assert len(called) >= (70 if plane == "bedrock-agentcore" else 170)


def test_encoded_arns_travel_in_one_segment_and_are_signed_as_sent(client_of, verifier):
    client_of("bedrock-agentcore-control").list_tags_for_resource(resourceArn=AWKWARD)
    [(method, path)] = verifier.accepted
    assert method == "GET"
    assert path.startswith("/tags/arn%3Aaws%3A")
    assert path.count("/") == 2
    assert verifier.refused == []
