"""Logins at a real OpenID provider with the manners of well-known ones, and at servers that answer wrongly."""

import asyncio
import contextlib
import hashlib
from base64 import urlsafe_b64encode
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from portico.issuer import provider as provider_module
from portico.issuer.provider import KEYS_FRESH, METADATA_FRESH, STALE_LIMIT, Provider
from portico.issuer.provider_documents import COOL_DOWN, RETRY
from portico.model.errors import Forbidden
from portico.model.oauth_errors import AccessDenied, InvalidGrant, ServerError, TemporarilyUnavailable
from portico.model.secret import Secret
from portico.net.egress import Egress
from portico.net.fetch import Fetcher
from portico.oauth.connector_settings import ConnectorSettings
from portico.oauth.parameters import Parameters
from portico.oauth.upstream import ProviderRequest
from support.provider.identity_provider import (
    PROFILES,
    TENANT,
    error,
    held,
    html_page,
    huge,
    identity_provider,
    server_error,
)

pytestmark = pytest.mark.xdist_group("issuer-provider")

CALLBACK = "http://127.0.0.1:18998/callback"
RESOURCE = "https://us.example/mcp"
VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ASKED = ProviderRequest(
    state="s-1", nonce="n-1", code_challenge=CHALLENGE, scopes=("mcp/invoke",), resource=RESOURCE, offline=True
)
POSTING = ("entra", "google")  #: their secrets in the form
SUBJECTS = {"entra": f"11111111-aaaa-4bbb-8ccc-000000000001:{TENANT}"}


class Monotonic:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def identity_providers():
    """Each profile's provider, started when it is first asked for."""
    running = {}
    with contextlib.ExitStack() as stack:

        def start(profile):
            if profile not in running:
                method = f"client_secret_{'post' if profile in POSTING else 'basic'}"
                made = identity_provider(profile, redirect_uris=[CALLBACK], resources=[RESOURCE], auth_method=method)
                running[profile] = stack.enter_context(made)
            running[profile].heal()
            running[profile].change(silent="ada")
            running[profile].forget_requests()
            return running[profile]

        yield start


@pytest.fixture
async def fetcher():
    made = Fetcher(egress=Egress())
    yield made
    await made.aclose()


@pytest.fixture
def monotonic():
    return Monotonic()


@pytest.fixture
async def connect(fetcher, monotonic):
    """Make a provider from a connector's document."""
    made = []

    def connect(document, **more):
        settings = msgspec.convert(document, ConnectorSettings)
        secret = Secret(settings.client_secret)
        options = {"secret": secret, "fetcher": fetcher, "redirect_uri": CALLBACK, "monotonic": monotonic} | more
        made.append(Provider(settings, **options))
        return made[-1]

    yield connect
    for each in made:
        await each.aclose()


def connector(idp, **changes):
    """The connector as an administrator would write it for this profile."""
    return idp.connector(**{"tokenAuthMethod": None} | changes)


async def come_back(idp, provider, person="ada", **changes):
    """Send somebody to the provider; return the callback's parameters."""
    url = await provider.authorization_url(replace(ASKED, **changes))
    target = await asyncio.to_thread(idp.person(person).walk, url)
    assert target.startswith(CALLBACK + "?"), target
    return Parameters.parse(urlsplit(target).query.encode())


async def log_in(idp, provider, **changes):
    code = await provider.judge_callback(await come_back(idp, provider, **changes))
    return await provider.exchange(code, verifier=VERIFIER, nonce="n-1", resource=RESOURCE)


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_person_logs_in_refreshes_and_is_let_go(identity_providers, connect, profile):
    idp = identity_providers(profile)
    provider = connect(connector(idp))
    login = await log_in(idp, provider)
    assert login.person.connector == profile
    assert login.person.subject == SUBJECTS.get(profile, "ada")
    assert (login.person.name, login.person.email) == ("Ada Lovelace", "ada@example.com")
    assert login.tokens.expires_in == 3600
    assert login.tokens.refresh_token

    renewed = await provider.refresh(login.tokens.refresh_token, scopes=("mcp/invoke",), resource=RESOURCE)
    assert renewed.access_token != login.tokens.access_token
    rotates = profile not in ("cognito", "google")
    assert (renewed.refresh_token != login.tokens.refresh_token) is rotates

    await provider.revoke(renewed.refresh_token)
    if provider_module.adapter_of(provider.settings).type == "entra":
        return  # has no revocation endpoint
    with pytest.raises(InvalidGrant):
        await provider.refresh(renewed.refresh_token, resource=RESOURCE)


@pytest.mark.parametrize("profile", PROFILES)
async def test_each_provider_is_asked_in_its_own_way(identity_providers, connect, profile):
    idp = identity_providers(profile)
    await log_in(idp, connect(connector(idp)))
    [asked] = idp.requests("authorization")
    [redeemed] = idp.requests("token")
    assert asked.query["code_challenge_method"] == "S256"
    assert redeemed.form["code_verifier"] == VERIFIER
    assert ("resource" in asked.query, "resource" in redeemed.form) == ((profile == "strict"),) * 2
    assert ("offline_access" in asked.query["scope"]) == (profile in ("entra", "okta", "strict"))
    assert (asked.query.get("prompt") == "consent") == (profile in ("okta", "google", "strict"))
    posts = profile in POSTING
    assert ("client_secret" in redeemed.form, "authorization" in redeemed.headers) == (posts, not posts)


@pytest.mark.case("B14")
async def test_a_person_who_says_no_there_is_told_as_that(identity_providers, connect):
    idp = identity_providers("strict")
    provider = connect(connector(idp))
    idp.change(denies=True)
    with pytest.raises(AccessDenied):
        await provider.judge_callback(await come_back(idp, provider))


@pytest.mark.case("B14")
async def test_a_scope_that_the_provider_does_not_know_is_the_administrator_s_to_mend(identity_providers, connect):
    idp = identity_providers("cognito")
    provider = connect(connector(idp, scopes=["offline_access"]))
    with pytest.raises(ServerError) as told:
        await provider.judge_callback(await come_back(idp, provider))
    assert "(invalid_scope)" in told.value.public
    assert "unknown scope" in told.value.detail


@pytest.mark.case("B16")
@pytest.mark.parametrize("iss", ["https://evil.example", None])
async def test_the_callback_must_name_the_provider_that_names_itself(identity_providers, connect, iss):
    idp = identity_providers("strict")
    provider = connect(connector(idp))
    idp.change(patch={"callback": {"iss": iss}})
    with pytest.raises(Forbidden):
        await provider.judge_callback(await come_back(idp, provider))


@pytest.mark.case("T18", "T22")
@pytest.mark.parametrize(
    "claims",
    [{"nonce": "n-2"}, {"aud": "another"}, {"iss": "https://evil.example"}, {"exp": 1}, {"sub": None}, {"nonce": None}],
)
async def test_an_id_token_that_does_not_fit_ends_the_login(identity_providers, connect, claims):
    idp = identity_providers("okta")
    provider = connect(connector(idp))
    idp.change(patch={"id_token": claims})
    with pytest.raises(ServerError):
        await log_in(idp, provider)


async def test_a_code_is_worth_nothing_without_its_verifier_or_twice(identity_providers, connect):
    idp = identity_providers("strict")
    provider = connect(connector(idp))
    code = await provider.judge_callback(await come_back(idp, provider))
    with pytest.raises(InvalidGrant):
        await provider.exchange(code, verifier="w" * 43, nonce="n-1", resource=RESOURCE)
    code = await provider.judge_callback(await come_back(idp, provider))
    await provider.exchange(code, verifier=VERIFIER, nonce="n-1", resource=RESOURCE)
    with pytest.raises(InvalidGrant):
        await provider.exchange(code, verifier=VERIFIER, nonce="n-1", resource=RESOURCE)


async def test_a_login_that_the_provider_ended_is_over(identity_providers, connect):
    idp = identity_providers("okta")
    provider = connect(connector(idp))
    login = await log_in(idp, provider)
    idp.revoke("ada")
    with pytest.raises(InvalidGrant):
        await provider.refresh(login.tokens.refresh_token)


@pytest.mark.parametrize(
    ("person", "rules", "let_in"),
    [
        ("ada", {"allowedDomains": ["example.com"]}, True),
        ("grace", {"allowedDomains": ["example.com"]}, False),
        ("mallory", {"allowedDomains": ["example.com"]}, False),
        ("mallory", {"allowedEmails": ["ada@example.com"]}, False),
    ],
)
@pytest.mark.parametrize("profile", ["cognito", "google", "okta"])
async def test_only_accounts_that_the_rules_name_log_in(identity_providers, connect, profile, person, rules, let_in):
    idp = identity_providers(profile)
    idp.change(silent=person)
    provider = connect(connector(idp, **rules))
    if let_in:
        assert (await log_in(idp, provider)).person.email == "ada@example.com"
        return
    with pytest.raises(AccessDenied) as told:
        await log_in(idp, provider)
    assert "ada" not in told.value.public


# Faults of the provider


@pytest.mark.case("C30")
@pytest.mark.parametrize(
    "fault", [server_error(), html_page(502), html_page(200), huge(), error("invalid_client", 401)]
)
async def test_a_token_endpoint_out_of_order_is_502_and_forgets_nothing(identity_providers, connect, fault):
    idp = identity_providers("okta")
    provider = connect(connector(idp))
    login = await log_in(idp, provider)
    idp.fail("token", fault)
    with pytest.raises(ServerError) as told:
        await provider.refresh(login.tokens.refresh_token)
    assert told.value.status == 502
    assert "Bad Gateway" not in told.value.public
    assert await provider.refresh(login.tokens.refresh_token)
    idp.fail("token", fault)
    with pytest.raises(ServerError):
        await log_in(idp, provider)


@pytest.mark.case("C30")
async def test_a_token_endpoint_that_takes_its_time_is_not_waited_for(identity_providers, connect, monkeypatch):
    monkeypatch.setattr(provider_module, "TOKEN_TIMEOUT", 0.2)
    idp = identity_providers("okta")
    provider = connect(connector(idp))
    code = await provider.judge_callback(await come_back(idp, provider))
    idp.fail("token", held())
    async with asyncio.timeout(30):
        with pytest.raises(ServerError):
            await provider.exchange(code, verifier=VERIFIER, nonce="n-1")


async def test_without_keys_a_code_is_not_spent(identity_providers, connect):
    idp = identity_providers("strict")
    provider = connect(connector(idp))
    code = await provider.judge_callback(await come_back(idp, provider))
    idp.fail("jwks", server_error())
    with pytest.raises(TemporarilyUnavailable):
        await provider.exchange(code, verifier=VERIFIER, nonce="n-1", resource=RESOURCE)
    assert idp.requests("token") == []


async def test_a_new_key_is_found_and_an_old_one_dies_with_the_cache(identity_providers, connect, monotonic):
    idp = identity_providers("okta")
    provider = connect(connector(idp))
    await log_in(idp, provider)
    idp.rotate(keep=False)
    monotonic.now += COOL_DOWN
    assert await log_in(idp, provider)
    asked = len(idp.requests("jwks"))
    assert asked == 2
    monotonic.now += KEYS_FRESH
    assert await log_in(idp, provider)
    assert len(idp.requests("jwks")) == asked + 1


async def test_userinfo_out_of_order_costs_a_name_but_never_a_rule(identity_providers, connect):
    idp = identity_providers("okta")
    nameless = {"patch": {"id_token": {"name": None, "email": None, "email_verified": None}}}
    idp.change(**nameless)
    idp.fail("userinfo", server_error(), times=None)
    assert (await log_in(idp, connect(connector(idp)))).person.name == ""
    with pytest.raises(TemporarilyUnavailable):
        await log_in(idp, connect(connector(idp, allowedDomains=["example.com"])))
    idp.heal()
    idp.change(silent="ada", patch=nameless["patch"] | {"userinfo": {"sub": "grace"}})
    with pytest.raises(ServerError):
        await log_in(idp, connect(connector(idp)))


async def test_metadata_are_kept_and_outlive_a_provider_that_is_down(identity_providers, connect, monotonic):
    idp = identity_providers("okta")
    provider = connect(connector(idp))
    idp.fail("discovery", server_error(), times=None)
    with pytest.raises(TemporarilyUnavailable):
        await provider.authorization_url(ASKED)
    with pytest.raises(TemporarilyUnavailable):
        await provider.authorization_url(ASKED)
    assert len(idp.requests("discovery")) == 1
    idp.heal()
    monotonic.now += RETRY
    await asyncio.gather(*(provider.authorization_url(ASKED) for _ in range(20)))
    assert len(idp.requests("discovery")) == 2
    idp.fail("discovery", html_page(200), times=None)
    monotonic.now += METADATA_FRESH
    assert await provider.authorization_url(ASKED)
    monotonic.now += STALE_LIMIT
    with pytest.raises(ServerError):
        await provider.authorization_url(ASKED)


async def test_a_provider_that_is_down_does_not_keep_anyone_from_logging_out_or_revoking(identity_providers, connect):
    idp = identity_providers("okta")
    provider = connect(connector(idp))
    idp.fail("discovery", html_page(404), times=None)
    assert await provider.logout_url(after="https://us.example/") == ""
    await provider.revoke(Secret("rt"))


async def test_where_to_log_out_is_the_provider_s_own_page(identity_providers, connect):
    urls = {}
    for profile in PROFILES:
        idp = identity_providers(profile)
        urls[profile] = await connect(connector(idp)).logout_url(after="https://us.example/")
    assert urls["okta"] == urls["google"] == ""
    assert urlsplit(urls["cognito"]).path == "/logout"
    assert parse_qs(urlsplit(urls["strict"]).query)["post_logout_redirect_uri"] == ["https://us.example/"]
