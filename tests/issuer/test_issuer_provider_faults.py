"""Servers that answer what no provider should, and GitHub, which has no OpenID Connect."""

import json
from dataclasses import replace

import msgspec
import pytest
from aiohttp import web

from portico.issuer.provider import Provider
from portico.model.oauth_errors import AccessDenied, InvalidGrant, ServerError, TemporarilyUnavailable
from portico.model.secret import Secret
from portico.net.egress import Egress
from portico.net.fetch import Fetcher
from portico.oauth import provider_adapters
from portico.oauth.connector_settings import ConnectorSettings
from portico.oauth.upstream import ProviderRequest

VERIFIER = "v" * 43
ASKED = ProviderRequest(state="s-1", nonce="n-1", code_challenge="c" * 43)


@pytest.fixture
async def connect():
    """Make a provider from a connector's document."""
    made = []
    fetcher = Fetcher(egress=Egress())

    def connect(document):
        settings = msgspec.convert(document, ConnectorSettings)
        secret = Secret(settings.client_secret)
        made.append(Provider(settings, secret=secret, fetcher=fetcher, redirect_uri="http://127.0.0.1:1/callback"))
        return made[-1]

    yield connect
    for each in made:
        await each.aclose()
    await fetcher.aclose()


class Server:
    """Answers what a test says, by path, and remembers what was asked."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        self.origin = ""

    async def answer(self, request):
        self.asked.append((request.path, dict(request.headers), dict(await request.post())))
        made = self.answers.get(request.path, {"status": 404})
        return web.Response(**{name: value(self) if callable(value) else value for name, value in made.items()})


@pytest.fixture
async def server():
    made = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    made.origin = f"http://{host}:{port}"
    yield made
    await runner.cleanup()


def sent(document, status=200):
    return {"status": status, "text": json.dumps(document), "content_type": "application/json"}


def bare(server, **changes):
    url = f"{server.origin}/.well-known/openid-configuration"
    document = {"name": "x", "type": "oidc", "discoveryUrl": url, "clientId": "portico", "clientSecret": "shh"}
    return document | {"allowPrivate": True} | changes


def metadata(server, **changes):
    made = {
        "issuer": server.origin,
        "authorization_endpoint": f"{server.origin}/authorize",
        "token_endpoint": f"{server.origin}/token",
        "jwks_uri": f"{server.origin}/jwks",
    }
    return made | changes


@pytest.mark.case("T16", "E04")
@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
)
async def test_metadata_that_are_not_usable_are_told_as_the_provider_s_fault(server, connect, changes):
    server.answers["/.well-known/openid-configuration"] = sent(metadata(server, **changes))
    with pytest.raises(ServerError) as told:
        await connect(bare(server)).authorization_url(ASKED)
    assert server.origin not in told.value.public
    assert "evil" not in told.value.public


@pytest.mark.case("T16")
@pytest.mark.parametrize("endpoint", ["token_endpoint", "jwks_uri"])
@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "http://[fd00:ec2::254]/x", "http://[::ffff:a9fe:a9fe]/"]
)
async def test_discovery_leads_to_no_metadata_service(server, connect, endpoint, url):
    server.answers["/.well-known/openid-configuration"] = sent(metadata(server, **{endpoint: url}))
    server.answers["/jwks"] = sent({"keys": []})
    with pytest.raises((ServerError, TemporarilyUnavailable)):
        await connect(bare(server)).exchange("code", verifier=VERIFIER, nonce="n-1")
    assert not any(path == "/token" for path, _, _ in server.asked)


@pytest.mark.case("T16")
async def test_a_private_provider_needs_its_permission(server, connect):
    server.answers["/.well-known/openid-configuration"] = sent(metadata(server))
    with pytest.raises(ServerError):
        await connect(bare(server, allowPrivate=False)).authorization_url(ASKED)
    assert server.asked == []


@pytest.mark.case("T16", "T17")
async def test_redirects_are_not_followed(server, connect):
    moved = {"status": 302, "headers": {"Location": "/elsewhere"}}
    server.answers["/.well-known/openid-configuration"] = moved
    with pytest.raises(ServerError):
        await connect(bare(server)).authorization_url(ASKED)
    server.answers |= {"/.well-known/openid-configuration": sent(metadata(server)), "/token": moved}
    with pytest.raises(ServerError):
        await connect(bare(server)).refresh(Secret("rt"))
    assert "/elsewhere" not in [path for path, _, _ in server.asked]


async def test_a_provider_that_nobody_answers_for_is_unavailable(unused_tcp_port, connect):
    url = f"http://127.0.0.1:{unused_tcp_port}/.well-known/openid-configuration"
    document = {"name": "x", "type": "oidc", "discoveryUrl": url, "clientId": "portico", "allowPrivate": True}
    with pytest.raises(TemporarilyUnavailable):
        await connect(document).authorization_url(ASKED)


# GitHub, which has no OpenID Connect


@pytest.fixture
def github(server, connect, monkeypatch):
    """A connector for GitHub as it answers, at another address."""
    row = provider_adapters._BY_TYPE["github"]
    moved = replace(
        row.metadata,
        token_endpoint=f"{server.origin}/login/oauth/access_token",
        userinfo_endpoint=f"{server.origin}/user",
        emails_endpoint=f"{server.origin}/user/emails",
    )
    monkeypatch.setitem(provider_adapters._BY_TYPE, "github", replace(row, metadata=moved))
    server.answers |= {
        "/login/oauth/access_token": sent({"access_token": "gho_1", "scope": "read:user", "token_type": "bearer"}),
        "/user": sent({"id": 583231, "login": "ada", "name": "Ada Lovelace", "email": "profile@x.example"}),
        "/user/emails": sent([{"email": "ada@example.com", "primary": True, "verified": True}]),
    }

    def make(**changes):
        document = {"name": "github", "type": "github", "clientId": "portico", "clientSecret": "shh"}
        return connect(document | {"allowPrivate": True, "anyAccount": True} | changes)

    return make


async def test_github_says_who_it_is_at_its_api(server, github):
    provider = github()
    login = await provider.exchange("code", verifier=VERIFIER, nonce="n-1")
    assert (login.person.subject, login.person.name) == ("583231", "Ada Lovelace")
    assert (provider.verifies, bool(login.tokens.refresh_token)) == (True, False)
    (_, headers, form), (_, asked, _) = server.asked
    assert headers["Accept"] == "application/json"
    assert (form["client_secret"], form["code_verifier"]) == ("shh", VERIFIER)
    assert asked["Authorization"] == "Bearer gho_1"
    assert await provider.verify(login.tokens.access_token) == login.person


async def test_github_s_verified_address_decides_not_the_one_of_the_profile(server, github):
    allowed = {"allowedDomains": ["example.com"]}
    assert (await github(**allowed).exchange("c", verifier=VERIFIER, nonce="n")).person.email == "ada@example.com"
    with pytest.raises(AccessDenied):
        await github(allowedDomains=["x.example"]).exchange("c", verifier=VERIFIER, nonce="n")
    server.answers["/user/emails"] = sent([{"email": "ada@example.com", "primary": True, "verified": False}])
    with pytest.raises(AccessDenied):
        await github(**allowed).exchange("c", verifier=VERIFIER, nonce="n")


async def test_github_s_errors_come_with_http_200(server, github):
    server.answers["/login/oauth/access_token"] = sent({"error": "bad_verification_code"})
    with pytest.raises(InvalidGrant):
        await github().exchange("code", verifier=VERIFIER, nonce="n-1")
    server.answers["/login/oauth/access_token"] = sent({"error": "redirect_uri_mismatch", "error_description": "555"})
    with pytest.raises(ServerError) as told:
        await github().exchange("code", verifier=VERIFIER, nonce="n-1")
    assert "555" not in told.value.public


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (sent({}, 401), InvalidGrant),
        (sent({}, 403), ServerError),
        (sent({}, 429), TemporarilyUnavailable),
        (sent({}, 500), TemporarilyUnavailable),
        (sent([]), ServerError),
        (sent({"login": "ada"}), ServerError),
    ],
)
async def test_a_login_at_github_is_over_only_when_github_says_so(server, github, answer, kind):
    server.answers["/user"] = answer
    with pytest.raises(kind):
        await github().verify(Secret("gho_1"))
