"""Login, calls and refresh through the Lambda handler, events of both kinds, against a provider with Cognito's gaps.

Nothing in it is ours but the façade: npm ``oidc-provider`` says who people are, a FastMCP gateway behind it accepts
that provider's tokens alone, the clients are raw HTTP and the official SDK.
"""

import base64
import hashlib
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from e2e.python_sdk import Memory, list_and_call, provider_for
from portico.service.facade import build_facade
from portico.service.facade_settings import load_facade_settings
from portico.service.lambda_handler import LambdaHandler
from support.lambda_events import KINDS, front
from support.ports import free_port
from support.provider.identity_provider import identity_provider
from support.provider.other_gateway import other_gateway

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("facade-lambda")]

CALLBACK = "http://127.0.0.1:53682/callback"
VERIFIER = "a-verifier-of-the-client-that-is-long-enough-12345"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
SCOPE = "mcp/invoke"
KEYS = "k1:" + hashlib.sha256(b"a keyring of the tests").hexdigest()


@dataclass
class Rig:
    """A façade in a function, what is before and behind it."""

    kind: str
    url: str
    place: object
    idp: object
    tokens: str
    environment: dict

    @property
    def mcp_url(self):
        return f"{self.url}/mcp"


def environment_of(url, idp, gateway, tokens):
    """What the template gives, with this rig's addresses."""
    connector = idp.connector(scopeMap={SCOPE: [SCOPE]})
    own = {"discoveryUrl", "clientId", "clientSecret"}
    document = {"connectors": [{name: value for name, value in connector.items() if name not in own}]}
    return {
        "PORTICO_FACADE_PUBLIC_URL": url,
        "PORTICO_FACADE_UPSTREAM_URL": gateway.mcp_url,
        "PORTICO_FACADE_UPSTREAM_ALLOW_PRIVATE": "true",
        "PORTICO_FACADE_TOKENS": tokens,
        "PORTICO_FACADE_SCOPES": SCOPE,
        "PORTICO_FACADE_ISSUER": json.dumps(document),
        "PORTICO_FACADE_PROVIDER_DISCOVERY_URL": connector["discoveryUrl"],
        "PORTICO_FACADE_PROVIDER_CLIENT_ID": connector["clientId"],
        "PORTICO_FACADE_PROVIDER_CLIENT_SECRET": connector["clientSecret"],
        "PORTICO_KEYRING_KEYS": KEYS,
    }


def handler_of(environment):
    @asynccontextmanager
    async def open_app():
        async with build_facade(load_facade_settings(None, environ=environment)) as facade:
            yield facade.app

    return LambdaHandler(open_app)


@pytest.fixture(
    scope="module", params=[(kind, tokens) for kind in KINDS for tokens in ("wrap", "passthrough")], ids="-".join
)
def rig(request, tmp_path_factory):
    kind, tokens = request.param
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        identity_provider("cognito", redirect_uris=[f"{url}/callback"], host="localhost") as idp,
        other_gateway(idp, log=tmp_path_factory.mktemp("gateway") / "log", stateless=True) as gateway,
    ):
        environment = environment_of(url, idp, gateway, tokens)
        with front(kind, handler_of(environment), port=port) as place:
            yield Rig(kind, url, place, idp, tokens, environment)


@pytest.fixture
def http():
    with httpx2.Client(trust_env=False, timeout=30, follow_redirects=False) as client:
        yield client


def message(method, request_id=1, **params):
    body = {"jsonrpc": "2.0", "id": request_id, "method": method}
    return body | ({"params": params} if params else {})


def post(http, rig, token, body, **headers):
    lines = {"authorization": f"Bearer {token}", "accept": "application/json, text/event-stream"} | headers
    return http.post(rig.mcp_url, json=body, headers={"mcp-protocol-version": "2025-11-25"} | lines)


def result_of(answer):
    """Return the result of a JSON answer or of a collected event stream."""
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
        return json.loads(events[-1])["result"]
    return answer.json()["result"]


def log_in(http, rig):
    """Register, authorize, consent, log in at the provider, come back, redeem; return the token answer."""
    registration = {
        "redirect_uris": [CALLBACK],
        "client_name": "Raw client",
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    }
    registered = http.post(f"{rig.url}/register", json=registration)
    assert registered.status_code == 201, registered.text
    client_id = registered.json()["client_id"]
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "state": "the client's state",
        "scope": SCOPE,
        "resource": rig.mcp_url,
    }
    person = rig.idp.person()
    target = person.walk(f"{rig.url}/authorize?{urlencode(query)}")
    answered = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
    assert target.startswith(f"{CALLBACK}?"), target
    assert (answered["state"], answered["iss"]) == ("the client's state", rig.url)
    form = {
        "grant_type": "authorization_code",
        "code": answered["code"],
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
        "client_id": client_id,
        "resource": rig.mcp_url,
    }
    redeemed = http.post(f"{rig.url}/token", data=form)
    assert redeemed.status_code == 200, redeemed.text
    return client_id, redeemed.json()


def test_the_whole_course_in_raw_http(rig, http):
    client_id, tokens = log_in(http, rig)
    opening = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
    assert result_of(post(http, rig, tokens["access_token"], message("initialize", **opening)))["serverInfo"]
    listed = result_of(post(http, rig, tokens["access_token"], message("tools/list")))
    assert {"add", "whoami"} <= {tool["name"] for tool in listed["tools"]}
    call = message("tools/call", name="add", arguments={"a": 2, "b": 40})
    assert "42" in str(result_of(post(http, rig, tokens["access_token"], call)))
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": client_id}
    renewed = http.post(f"{rig.url}/token", data=form)
    assert renewed.status_code == 200, renewed.text
    assert "42" in str(result_of(post(http, rig, renewed.json()["access_token"], call)))


def test_the_gateway_behind_gets_the_providers_token_and_no_other(rig, http):
    _, tokens = log_in(http, rig)
    told = result_of(post(http, rig, tokens["access_token"], message("tools/call", name="whoami", arguments={})))
    seen = told["structuredContent"]["token"]
    assert (seen == tokens["access_token"]) == (rig.tokens == "passthrough")
    claims = json.loads(base64.urlsafe_b64decode(seen.split(".")[1] + "=="))
    assert (claims["iss"], claims["client_id"]) == (rig.idp.issuer, rig.idp.client_id)


def test_progress_comes_with_the_result(rig, http):
    _, tokens = log_in(http, rig)
    params = {"name": "count", "arguments": {"steps": 3}, "_meta": {"progressToken": "p"}}
    answer = post(http, rig, tokens["access_token"], message("tools/call", **params))
    assert "3" in str(result_of(answer))
    assert answer.headers["content-length"] == str(len(answer.content))


def test_without_a_token_the_way_to_log_in_is_told_as_far_as_the_place_allows(rig, http):
    for answer in (http.get(rig.mcp_url), http.post(rig.mcp_url, json=message("tools/list"))):
        assert answer.status_code == 401
        renamed = answer.headers.get("x-amzn-remapped-www-authenticate", "")
        challenge = renamed if rig.kind == "function-url" else answer.headers["www-authenticate"]
        assert f'resource_metadata="{rig.url}/.well-known/oauth-protected-resource/mcp"' in challenge
    for place in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"):
        document = http.get(f"{rig.url}{place}").json()
        assert (document["resource"], document["authorization_servers"]) == (rig.mcp_url, [rig.url])


def test_streams_are_refused_with_their_reason(rig, http):
    _, tokens = log_in(http, rig)
    lines = {"authorization": f"Bearer {tokens['access_token']}"}
    refused = http.get(rig.mcp_url, headers=lines | {"accept": "text/event-stream"})
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert "no event streams" in refused.json()["error_description"]
    listening = post(http, rig, tokens["access_token"], message("subscriptions/listen", "l-1", notifications={}))
    assert (listening.status_code, listening.json()["id"]) == (404, "l-1")
    assert listening.json()["error"]["code"] == -32601


def test_the_flows_cookies_are_set_and_taken_back(rig, http):
    log_in(http, rig)
    metadata = http.get(f"{rig.url}/.well-known/oauth-authorization-server").json()
    assert metadata["issuer"] == rig.url
    assert all(metadata[name].startswith(rig.url) for name in ("authorization_endpoint", "token_endpoint"))


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28", "auto"])
async def test_the_python_sdk_logs_in_calls_refreshes_and_calls_again(rig, mode):
    person, storage = rig.idp.person(), Memory()
    names, result = await list_and_call(rig.mcp_url, provider_for(rig.mcp_url, person, storage), mode, tool="add")
    assert "whoami" in names
    assert "42" in result.content[0].text
    assert storage.tokens.refresh_token
    pages = len(person.pages)
    storage.tokens = storage.tokens.model_copy(update={"access_token": "lost", "expires_in": -1})
    _, again = await list_and_call(rig.mcp_url, provider_for(rig.mcp_url, person, storage), mode, tool="add")
    assert "42" in again.content[0].text
    assert storage.tokens.access_token != "lost"
    assert len(person.pages) >= pages


def test_an_environment_that_is_new_goes_on_where_another_stopped(rig, http):
    """Environments share the keyring and nothing else: a fresh one serves each step."""
    client_id, tokens = log_in(http, rig)
    port = free_port()
    with front(rig.kind, handler_of(rig.environment), port=port) as other:
        there = {"host": urlsplit(rig.url).netloc}
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": client_id}
        renewed = http.post(f"http://127.0.0.1:{other.port}/token", data=form, headers=there)
        assert renewed.status_code == 200, renewed.text
    call = message("tools/call", name="add", arguments={"a": 2, "b": 40})
    assert "42" in str(result_of(post(http, rig, renewed.json()["access_token"], call)))


def test_the_entry_that_lambda_calls_reads_the_environment(rig):
    """In a process of its own, as Lambda has it: nothing but the variables."""
    program = (
        "import json, sys\n"
        "from portico.service.lambda_handler import handler\n"
        "from support.lambda_events import Context, event_of\n"
        f"event = event_of({rig.kind!r}, 'GET', '/.well-known/oauth-protected-resource/mcp', host='127.0.0.1')\n"
        "print(json.dumps(handler(event, Context())))\n"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, **rig.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["statusCode"] == 200
    assert json.loads(result["body"])["resource"] == rig.mcp_url
