"""Whatever is sent, the answer is a caller or an error of ours; nothing else ever comes out."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from identity_provider import NOW, Signer

from portico.authorizer.authorizer import Authorizer
from portico.authorizer.keys import IssuerKeys
from portico.authorizer.revocations import Revocations
from portico.model.errors import PorticoError
from portico.model.gateway import ClaimRule, JwtAuthorizer
from portico.model.principal import Principal
from portico.oauth.challenge import bearer_challenge
from portico.oauth.jwk import load_keys

ISSUER = "https://i.example"
GATEWAY = "https://gw.example/g/a/mcp"
SIGNER = Signer(ISSUER, aud=GATEWAY, client_id="c1")


class OneIssuer:
    """Holds one key set; nothing is fetched."""

    def __init__(self, *, own):
        self._keys = IssuerKeys(issuer=ISSUER, own=own, keys=load_keys({"keys": [SIGNER.jwk]}).keys)

    async def keys_for(self, discovery_url, *, kid=None):
        return self._keys


RULES = JwtAuthorizer(
    discovery_url=f"{ISSUER}/.well-known/openid-configuration",
    allowed_audience=frozenset({GATEWAY}),
    allowed_clients=frozenset({"c1"}),
    allowed_scopes=frozenset({"s"}),
    custom_claims=(
        ClaimRule(claim="g", value_type="STRING", operator="EQUALS", values=frozenset({"x"})),
        ClaimRule(claim="h", value_type="STRING_ARRAY", operator="CONTAINS_ANY", values=frozenset({"y"})),
    ),
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(GATEWAY) | st.just("c1"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CLAIMS = ["iss", "sub", "aud", "exp", "nbf", "iat", "scope", "scp", "client_id", "azp", "g", "h", "nonce", "typ"]


async def ask(authorization):
    for own in (True, False):
        revocations = Revocations(database=None)  # never loaded, so the database is never asked
        authorizer = Authorizer(keys=OneIssuer(own=own), revocations=revocations, clock=lambda: NOW)
        try:
            found = await authorizer.authenticate(RULES, audience=frozenset({GATEWAY}), authorization=authorization)
        except PorticoError as error:
            check_refusal(error)
        else:
            assert isinstance(found, Principal)
            assert isinstance(found.key, str)


def check_refusal(error):
    assert error.status in (401, 403)
    assert len(error.debug_hint) < 2000
    assert bearer_challenge(error, resource_metadata="https://gw.example/x", scopes=["s"], debug=True)


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_header(header):
    asyncio.run(ask(header))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bearer(token):
    asyncio.run(ask(b"Bearer " + token))


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(CLAIMS), JSON),
    st.dictionaries(st.sampled_from(["typ", "kid", "crit", "b64", "jku", "x5c"]), JSON, max_size=2),
)
def test_any_claims_under_a_genuine_signature(claims, header):
    asyncio.run(ask(b"Bearer " + SIGNER.sign({"typ": "at+jwt", **header}, {**SIGNER.claims, **claims})))


@settings(deadline=None)
@given(st.integers(0, 3000), st.integers(1, 255))
def test_a_genuine_token_with_any_byte_changed(position, change):
    token = bytearray(SIGNER.token())
    token[position % len(token)] ^= change
    asyncio.run(ask(b"Bearer " + bytes(token)))
