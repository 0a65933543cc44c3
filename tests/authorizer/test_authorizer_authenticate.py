"""The whole way from an Authorization header to a caller, with our own issuer in a real database and a foreign one
on a real socket."""

import pytest
from identity_provider import NOW, Signer, bearer
from joserfc.jwk import RSAKey

from portico.authorizer.authorizer import Authorizer, bearer_token
from portico.authorizer.foreign_keys import COOL_DOWN, FRESH, STALE_LIMIT
from portico.authorizer.keys import OwnKeys, TrustedKeys
from portico.authorizer.revocations import Revocations
from portico.model.errors import InsufficientScope, InvalidToken, KeysUnavailable, MissingToken, PorticoError
from portico.model.gateway import ClaimRule, JwtAuthorizer, NoAuthorizer
from portico.model.principal import ANONYMOUS
from portico.oauth.jwt import MAX_TOKEN_BYTES
from portico.storage import issuers, revocations, signing_keys
from portico.storage.issuers import IssuerRow
from portico.storage.revocations import RevocationRow
from portico.storage.signing_keys import SigningKeyRow

PUBLIC = "https://gw.example"
ISSUER = f"{PUBLIC}/i/main"
GATEWAY = f"{PUBLIC}/g/a/mcp"
TARGET = f"{GATEWAY}/calculator"
OTHER_GATEWAY = f"{PUBLIC}/g/b/mcp"
OWN_RULES = JwtAuthorizer(discovery_url=f"{ISSUER}/.well-known/openid-configuration")


class House:
    """An authorizer over real storage and a real provider, and what an administrator would do to it."""

    def __init__(self, database, foreign, clock):
        self.database = database
        self.own_keys = OwnKeys(database, public_url=PUBLIC)
        self.revocations = Revocations(database, clock=clock)
        self.authorizer = Authorizer(
            keys=TrustedKeys(self.own_keys, foreign), revocations=self.revocations, max_tokens=100, clock=clock
        )

    async def add_issuer(self, signer):
        row = SigningKeyRow(
            issuer="main",
            kid=signer.kid,
            sealed="",
            public_jwk=signer.jwk,
            state="current",
            created_at=int(NOW),
            changed_at=int(NOW),
        )
        async with self.database.write() as conn:
            await issuers.put(conn, IssuerRow(name="main", document={}, created_at=int(NOW), updated_at=int(NOW)))
            await signing_keys.add(conn, row)
        await self.own_keys.reload()

    async def drop_key(self, kid):
        async with self.database.write() as conn:
            assert await signing_keys.drop(conn, kid)
        await self.own_keys.reload()

    async def revoke(self, kind, key, issuer=ISSUER):
        row = RevocationRow(kind=kind, issuer=issuer, key=key, not_before=int(NOW), expires_at=int(NOW) + 9999)
        async with self.database.write() as conn:
            await revocations.add(conn, row)
        await self.revocations.reload()

    async def admit(self, token, rules=OWN_RULES, *, audience=(GATEWAY,)):
        return await self.authorizer.authenticate(
            rules, audience=frozenset(audience), authorization=None if token is None else bearer(token)
        )

    async def refuse(self, token, rules=OWN_RULES, *, error=InvalidToken, audience=(GATEWAY,)):
        with pytest.raises(error) as refused:
            await self.admit(token, rules, audience=audience)
        assert type(refused.value) is error
        return refused.value


@pytest.fixture(scope="module")
def signer():
    return Signer(ISSUER, aud=GATEWAY, client_id="c1", scope="mcp/invoke", jti="j1", grant_id="g1")


@pytest.fixture
async def house(database, foreign, clock, signer):
    made = House(database, foreign, clock)
    await made.add_issuer(signer)
    return made


@pytest.fixture
def stranger(provider):
    """What signs tokens of a foreign issuer, Cognito-shaped: typ JWT or none, no audience."""
    return Signer(provider.origin + "/t1", kid="f1", client_id="app", token_use="access", scope="s1 s2")


@pytest.fixture
def foreign_rules(provider, stranger):
    def make(**fields):
        lists = {name: frozenset(value) if isinstance(value, list) else value for name, value in fields.items()}
        return JwtAuthorizer(discovery_url=provider.publish(keys=[stranger]), **lists)

    return make


def untyped(signer, **claims):
    return signer.token(header={"typ": None}, **claims)


# Who comes in


async def test_a_person_comes_in_with_a_token_of_ours(house, signer):
    principal = await house.admit(signer.token())
    assert (principal.kind, principal.issuer, principal.subject, principal.client_id) == ("user", ISSUER, "alice", "c1")
    assert principal.scopes == {"mcp/invoke"}
    assert principal.expires_at == int(NOW) + 900
    assert principal.claims["jti"] == "j1"


async def test_a_machine_is_a_client_that_is_its_own_subject(house, signer):
    principal = await house.admit(signer.token(sub="c1"))
    assert (principal.kind, principal.subject) == ("machine", "c1")


async def test_a_foreign_token_without_subject_is_a_machine_under_the_name_of_its_client(
    house, stranger, foreign_rules
):
    rules = foreign_rules(allowed_scopes=["s1"])
    principal = await house.admit(untyped(stranger, without=["sub"]), rules)
    assert (principal.kind, principal.subject) == ("machine", "app")
    entra = untyped(stranger, without=["sub", "client_id"], azp="entra-app")
    assert (await house.admit(entra, rules)).client_id == "entra-app"
    await house.refuse(untyped(stranger, without=["sub", "client_id"]), rules)


@pytest.mark.case("D08")
@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT", "JWT", "jwt", None])
async def test_foreign_access_tokens_come_in_under_each_type_that_issuers_use(house, stranger, foreign_rules, typ):
    token = stranger.token(header={"typ": typ})
    assert (await house.admit(token, foreign_rules(allowed_clients=["app"]))).subject == "alice"


async def test_rs256_from_a_real_rsa_key(house, provider):
    signer = Signer(provider.origin + "/rsa", alg="RS256", kid="r1", aud="api://x")
    url = provider.publish("/rsa", keys=[signer])
    rules = JwtAuthorizer(discovery_url=url, allowed_audience=frozenset({"api://x"}))
    assert await house.admit(signer.token(header={"typ": "JWT"}), rules)


async def test_a_token_without_kid_needs_an_issuer_with_one_key_for_it(house, provider, stranger, foreign_rules):
    rules = foreign_rules(allowed_clients=["app"])
    nameless = stranger.token(header={"kid": None})
    assert await house.admit(nameless, rules)
    second = Signer(provider.origin + "/t3", client_id="app")
    third = Signer(provider.origin + "/t3", kid="k2", client_id="app")
    both = JwtAuthorizer(
        discovery_url=provider.publish("/t3", keys=[second, third]), allowed_clients=frozenset({"app"})
    )
    assert "kid" in (await house.refuse(second.token(header={"kid": None}), both)).debug_hint


async def test_none_lets_everyone_in_as_nobody(house, signer):
    for authorization in (None, b"Bearer garbage", bearer(signer.token())):
        found = await house.authorizer.authenticate(
            NoAuthorizer(), audience=frozenset({GATEWAY}), authorization=authorization
        )
        assert found is ANONYMOUS


async def test_the_issuer_for_resource_metadata_is_the_one_in_the_issuers_own(house, provider, stranger):
    url = provider.publish(issuer=provider.origin + "/t1/", keys=[stranger])
    assert await house.authorizer.issuer_of(JwtAuthorizer(discovery_url=url)) == provider.origin + "/t1/"
    assert await house.authorizer.issuer_of(OWN_RULES) == ISSUER


# What the header must be


@pytest.mark.case("E05")
async def test_no_header_is_a_missing_token(house):
    assert (await house.refuse(None, error=MissingToken)).status == 401


@pytest.mark.case("T10")
@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer  ",
        b"Basic YTpi",
        b"DPoP x",
        b"token",
        b"Bearer a, Bearer b",
        b"Bearer\tx",
        b"\xff\xfe",
        b"Bearer \xff",
        b"Bearer a.b.c d",
    ],
)
async def test_another_or_broken_credential_is_invalid_never_anonymous(house, header):
    with pytest.raises(InvalidToken):
        await house.authorizer.authenticate(OWN_RULES, audience=frozenset({GATEWAY}), authorization=header)


def test_the_scheme_is_compared_without_case():
    assert bearer_token(b"bEARER  abc ") == b"abc"


@pytest.mark.case("D16")
async def test_an_oversized_token_is_refused_before_it_is_hashed(house, signer):
    await house.refuse(signer.token(pad="x" * MAX_TOKEN_BYTES))
    await house.refuse(b".".join([b"YQ"] * 100))
    await house.refuse(signer.token(header={"kid": "k" * 400}))


# Forged tokens


@pytest.mark.case("D01", "D02", "D03", "D04", "D24")
async def test_forged_tokens_are_refused(house, signer):
    genuine = signer.token()
    header, payload, signature = genuine.split(b".")
    attacker = Signer(ISSUER, aud=GATEWAY, client_id="c1")
    forged = [
        header + b"." + payload + b".",
        header + b"." + payload + b"." + b"A" * len(signature),
        b"eyJhbGciOiJub25lIn0." + payload + b".",
        b"eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0." + payload + b"." + signature,
        attacker.token(),
        attacker.token(header={"jwk": attacker.jwk}),
        attacker.token(header={"jku": "https://evil.example/jwks"}),
        Signer(ISSUER, aud=GATEWAY, alg="RS256").token(),
    ]
    for token in forged:
        assert (await house.refuse(token)).status == 401
    assert house.authorizer.cached() == 0
    assert await house.admit(genuine)


@pytest.mark.case("D18")
async def test_another_spelling_of_a_genuine_token_is_refused(house, signer):
    genuine = signer.token()
    await house.admit(genuine)
    for variant in (
        genuine + b"=",
        genuine + b"\n",
        genuine.replace(b".", b"=.", 1),
        genuine + b".",
        genuine + b"\x00",
    ):
        await house.refuse(variant)


@pytest.mark.case("D07")
@pytest.mark.parametrize("extra", [{"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": False}, {"b64": False}])
async def test_critical_extensions_are_refused(house, signer, extra):
    await house.refuse(signer.sign({"typ": "at+jwt", **extra}, signer.claims))
    assert await house.admit(signer.sign({"typ": "at+jwt"}, signer.claims))


# Other kinds of token


@pytest.mark.case("D08", "D09")
@pytest.mark.parametrize("typ", [None, "JWT", "id+jwt", "logout+jwt", "at", "at+jwt; charset=utf-8", ""])
async def test_our_own_issuers_tokens_are_typed(house, signer, typ):
    await house.refuse(signer.token(header={"typ": typ}))


@pytest.mark.case("D08", "D13")
@pytest.mark.parametrize(
    "claims",
    [
        {"token_use": "id", "aud": "app"},
        {"at_hash": "x"},
        {"nonce": "n", "without": ["scope", "client_id"], "aud": "app"},
        {"typ": "ID"},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    ],
)
async def test_a_foreign_id_token_is_no_access_token(house, stranger, foreign_rules, claims):
    rules = foreign_rules(allowed_audience=["app"])
    assert await house.admit(untyped(stranger, aud="app"), rules)
    refused = await house.refuse(untyped(stranger, **{"aud": "app", **claims}), rules)
    assert "not an access token" in refused.debug_hint


@pytest.mark.case("D09")
async def test_a_foreign_issuer_may_be_lax_where_ours_may_not(house, signer, stranger, foreign_rules):
    lax = {"typ": "JWT"}
    assert await house.admit(stranger.token(header=lax, aud="app"), foreign_rules(allowed_audience=["app"]))
    await house.refuse(signer.token(header=lax, aud=[GATEWAY, "c1"]))


@pytest.mark.case("D10")
async def test_refresh_tokens_and_sealed_values_are_not_bearers(house):
    from portico.crypto.keyring import Keyring, generate_line

    keyring = Keyring.parse(generate_line("k1"))
    for purpose in ("refresh", "code", "mcp-session", "client-id"):
        await house.refuse(keyring.seal(purpose, b'{"sub":"alice"}').encode())
    await house.refuse(b"q83vEjRWeJCrze8SNFZ4kKvN7xI0Vniq83vEjRWeJCr")


# Issuer, audience, time


@pytest.mark.case("D11")
@pytest.mark.parametrize("spoil", ["{}/", "{}x", "{}/../t2", "{}"])
async def test_the_issuer_is_exact(house, stranger, foreign_rules, spoil):
    iss = spoil.format(stranger.claims["iss"])
    iss = iss.upper() if spoil == "{}" else iss
    refused = await house.refuse(untyped(stranger, iss=iss), foreign_rules(allowed_clients=["app"]))
    assert "iss" in refused.debug_hint
    await house.refuse(untyped(stranger, without=["iss"]), foreign_rules(allowed_clients=["app"]))


@pytest.mark.case("D11", "T13")
async def test_a_token_of_another_tenant_on_the_same_server_is_refused(house, provider, stranger, foreign_rules):
    tenant = Signer(provider.origin + "/t2", kid="f1", client_id="app")
    provider.publish("/t2", keys=[tenant])
    await house.refuse(untyped(tenant), foreign_rules(allowed_clients=["app"]))


@pytest.mark.case("D12", "T18")
async def test_audiences(house, signer):
    for aud in (GATEWAY, [GATEWAY], ["other", GATEWAY]):
        assert await house.admit(signer.token(aud=aud))
    for aud in (["other"], GATEWAY + "-other", GATEWAY[:-1], PUBLIC, [], "", None, {}, [5], OTHER_GATEWAY, TARGET):
        await house.refuse(signer.token(aud=aud))
    await house.refuse(signer.token(without=["aud"]))


@pytest.mark.case("T18")
async def test_a_target_endpoint_takes_tokens_for_the_gateway_or_for_itself(house, signer):
    both = (GATEWAY, TARGET)
    assert await house.admit(signer.token(), audience=both)
    assert await house.admit(signer.token(aud=TARGET), audience=both)
    await house.refuse(signer.token(aud=GATEWAY + "/everything"), audience=both)


@pytest.mark.case("D12", "T11", "T18")
async def test_a_cached_token_is_refused_at_another_gateway_of_the_same_issuer(house, signer):
    token = signer.token()
    await house.admit(token)
    await house.refuse(token, audience=(OTHER_GATEWAY,))
    permissive = JwtAuthorizer(discovery_url=OWN_RULES.discovery_url, allowed_clients=frozenset({"c1"}))
    await house.refuse(token, permissive, audience=(OTHER_GATEWAY,))
    assert await house.admit(token)


@pytest.mark.case("D13")
async def test_cognitos_shape(house, stranger, foreign_rules):
    assert await house.admit(untyped(stranger), foreign_rules(allowed_clients=["app"]))
    refused = await house.refuse(untyped(stranger), foreign_rules(allowed_clients=["x"]), error=InsufficientScope)
    assert refused.status == 403
    await house.refuse(untyped(stranger), foreign_rules(allowed_audience=["app"]))
    await house.refuse(untyped(stranger, token_use="id"), foreign_rules(allowed_clients=["app"]))


@pytest.mark.case("D15")
async def test_times(house, signer, clock):
    token = signer.token()
    clock.now = NOW + 900 + 29
    assert await house.admit(token)
    clock.now = NOW + 900 + 31
    assert "expired" in (await house.refuse(token)).debug_hint
    clock.now = NOW
    for claims in ({"nbf": NOW + 60}, {"iat": NOW + 60}, {"exp": NOW - 31}, {"exp": None}, {"exp": "9999999999"}):
        await house.refuse(signer.token(**claims))
    await house.refuse(signer.token(without=["exp"]))
    assert await house.admit(signer.token(nbf=NOW + 20))


async def test_a_cached_token_expires_and_leaves_the_cache(house, signer, clock):
    token = signer.token()
    await house.admit(token)
    assert house.authorizer.cached() == 1
    clock.advance(2000)
    await house.refuse(token)
    assert house.authorizer.cached() == 0


# What ends a token that was accepted a moment ago


@pytest.mark.case("D20")
async def test_a_dropped_key_ends_its_tokens(house, signer):
    token = signer.token()
    await house.admit(token)
    await house.drop_key("k1")
    assert "kid" in (await house.refuse(token)).debug_hint


@pytest.mark.case("D20")
async def test_a_foreign_key_that_was_dropped_or_exchanged_ends_its_tokens(
    house, provider, stranger, foreign_rules, clock
):
    rules = foreign_rules(allowed_clients=["app"])
    token = untyped(stranger, exp=int(NOW) + 99_999)
    await house.admit(token, rules)
    provider.publish_keys("/t1", [Signer("", kid="f1")])  # the same name, another key
    clock.advance(FRESH)
    assert "signature" in (await house.refuse(token, rules)).debug_hint
    provider.publish_keys("/t1", [Signer("", kid="f2")])
    clock.advance(FRESH)
    await house.refuse(token, rules)


@pytest.mark.parametrize(("kind", "key"), [("grant", "g1"), ("client", "c1"), ("subject", "alice")])
async def test_a_revocation_ends_a_cached_token_at_the_next_reload(house, signer, kind, key):
    token = signer.token()
    await house.admit(token)
    await house.revoke(kind, key)
    assert kind in (await house.refuse(token)).debug_hint
    assert await house.admit(signer.token(iat=int(NOW) + 1))


async def test_rules_are_judged_every_time(house, signer):
    token = signer.token()
    url = OWN_RULES.discovery_url
    await house.admit(token, JwtAuthorizer(discovery_url=url, allowed_clients=frozenset({"c1", "c2"})))
    shrunk = JwtAuthorizer(discovery_url=url, allowed_clients=frozenset({"c2"}))
    await house.refuse(token, shrunk, error=InsufficientScope)
    scoped = JwtAuthorizer(discovery_url=url, allowed_scopes=frozenset({"mcp/admin"}))
    await house.refuse(token, scoped, error=InsufficientScope)
    claim = ClaimRule(claim="team", value_type="STRING", operator="EQUALS", values=frozenset({"a"}))
    await house.refuse(token, JwtAuthorizer(discovery_url=url, custom_claims=(claim,)), error=InsufficientScope)
    assert await house.admit(token)


# Keys that cannot be had


@pytest.mark.case("D21")
async def test_a_provider_that_is_down_stops_nobody_for_a_day(house, provider, stranger, foreign_rules, clock):
    rules = foreign_rules(allowed_clients=["app"])
    exp = int(NOW + 2 * STALE_LIMIT)
    cached = untyped(stranger, exp=exp)
    await house.admit(cached, rules)
    provider.fault = "500"
    clock.advance(STALE_LIMIT - 1)
    assert await house.admit(cached, rules)
    assert await house.admit(untyped(stranger, exp=exp, jti="fresh"), rules)
    clock.advance(1)
    for token in (cached, untyped(stranger, exp=exp, jti="another")):
        assert (await house.refuse(token, rules, error=KeysUnavailable)).status == 503


async def test_a_key_that_the_provider_added_is_found(house, provider, stranger, foreign_rules, clock):
    rules = foreign_rules(allowed_clients=["app"])
    await house.admit(untyped(stranger), rules)
    added = Signer(stranger.claims["iss"], kid="f2", client_id="app")
    provider.publish_keys("/t1", [stranger, added])
    await house.refuse(untyped(added), rules)  # within the cool-down
    clock.advance(COOL_DOWN)
    assert await house.admit(untyped(added), rules)


@pytest.mark.case("D22")
@pytest.mark.filterwarnings("ignore:Key size should be")
async def test_tokens_of_a_short_rsa_key_are_refused(house, provider, stranger):
    short = Signer(provider.origin + "/t1", alg="RS256", kid="short", key=RSAKey.generate_key(1024), client_id="app")
    url = provider.publish(keys=[stranger, short])
    rules = JwtAuthorizer(discovery_url=url, allowed_clients=frozenset({"app"}))
    assert "short" in (await house.refuse(untyped(short), rules)).debug_hint


async def test_cached_and_fresh_tokens_work_while_the_database_is_gone(house, signer):
    token = signer.token()
    await house.admit(token)
    await house.database.aclose()
    async with house.database.write() as conn:
        await conn.exec_driver_sql("DROP TABLE signing_keys")
    assert await house.admit(token)
    assert await house.admit(signer.token(jti="fresh"))


# Bounds


async def test_the_cache_is_bounded_and_holds_no_tokens(house, signer):
    tokens = [signer.token(jti=f"j{n}") for n in range(130)]
    for token in tokens:
        await house.admit(token)
    assert house.authorizer.cached() == 100
    kept = repr(house.authorizer._cache._entries)
    assert not any(token.decode() in kept for token in tokens)


async def test_refusals_say_little_in_public_and_nothing_of_the_token_in_hints(house, signer, stranger):
    canary = "canary-9f8e7d"
    for token in (
        signer.token(aud="x", email=canary),
        signer.token(header={"typ": "JWT"}, email=canary),
        signer.token(exp=1, email=canary),
        Signer(ISSUER, kid="zzz", email=canary).token(),
    ):
        refused = await house.refuse(token)
        assert refused.public == "The access token is not valid here."
        for text in (refused.debug_hint, str(refused), repr(refused)):
            assert canary not in text
            assert token.decode() not in text
        assert isinstance(refused, PorticoError)
