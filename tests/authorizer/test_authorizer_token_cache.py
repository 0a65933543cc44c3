from identity_provider import Signer

from portico.authorizer.keys import IssuerKeys
from portico.authorizer.token_cache import SWEEP_EVERY, CachedToken, TokenCache
from portico.model.principal import ANONYMOUS
from portico.oauth.access_token import AccessToken
from portico.oauth.jwk import load_keys

ISSUER = "https://i.example"
NOW = 1e9  # seconds since the epoch
SIGNER = Signer(ISSUER)
KEYS = load_keys({"keys": [SIGNER.jwk]}).keys


def entry():
    token = AccessToken(
        issuer=ISSUER,
        subject="a",
        client_id="",
        audiences=frozenset(),
        scopes=frozenset(),
        expires_at=2e9,
        not_before=0,
        claims={},
    )
    return CachedToken(kid="k1", thumbprint=KEYS["k1"].thumbprint, own=False, token=token, principal=ANONYMOUS)


def test_the_least_recently_used_entry_makes_room():
    cache = TokenCache(max_tokens=2)
    for digest in (b"a", b"b"):
        cache.put(digest, entry(), NOW)
    assert cache.get(b"a")
    cache.put(b"c", entry(), NOW)
    assert cache.get(b"b") is None
    assert cache.get(b"a")
    assert len(cache) == 2
    cache.forget(b"a")
    cache.forget(b"a")
    assert len(cache) == 1


def test_an_entry_holds_while_the_issuer_has_the_very_key():
    same = load_keys({"keys": [SIGNER.jwk]}).keys  # loaded anew, as after each refresh
    exchanged = load_keys({"keys": [Signer(ISSUER).jwk]}).keys  # another key under the same kid
    assert entry().holds(IssuerKeys(issuer=ISSUER, own=False, keys=same))
    assert not entry().holds(IssuerKeys(issuer=ISSUER, own=False, keys=exchanged))
    assert not entry().holds(IssuerKeys(issuer=ISSUER, own=False, keys={}))
    assert not entry().holds(IssuerKeys(issuer=ISSUER + "/", own=False, keys=same))
    assert not entry().holds(IssuerKeys(issuer=ISSUER, own=True, keys=same))


def test_tokens_that_have_ended_make_room_although_nobody_asks_for_them():
    cache = TokenCache()
    for number in range(SWEEP_EVERY - 1):
        cache.put(b"old %d" % number, entry(), NOW)
    assert len(cache) == SWEEP_EVERY - 1
    cache.put(b"new", entry(), entry().token.expires_at)
    assert len(cache) == 1
    assert cache.get(b"new") is not None
