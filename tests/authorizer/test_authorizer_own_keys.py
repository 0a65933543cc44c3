import pytest
from identity_provider import NOW, Signer

from portico.authorizer.keys import OwnKeys, TrustedKeys
from portico.model.errors import KeysUnavailable, StorageUnavailable
from portico.storage import issuers, signing_keys
from portico.storage.issuers import IssuerRow
from portico.storage.signing_keys import SigningKeyRow

PUBLIC = "https://gw.example"
ISSUER = f"{PUBLIC}/i/main"
DISCOVERY = f"{ISSUER}/.well-known/openid-configuration"


async def add_issuer(database, name="main"):
    async with database.write() as conn:
        await issuers.put(conn, IssuerRow(name=name, document={}, created_at=int(NOW), updated_at=int(NOW)))


async def add_key(database, kid, *, issuer="main", state="current", jwk=None):
    row = SigningKeyRow(
        issuer=issuer,
        kid=kid,
        sealed="",
        public_jwk=jwk or Signer(ISSUER, kid=kid).jwk,
        state=state,
        created_at=int(NOW),
        changed_at=int(NOW),
    )
    async with database.write() as conn:
        await signing_keys.add(conn, row)


class Unreachable:
    """Stands for the network: writes down that somebody wanted it."""

    def __init__(self):
        self.asked = []

    async def keys_for(self, discovery_url, *, kid=None):
        self.asked.append(discovery_url)
        raise KeysUnavailable("no network here")


async def test_keys_of_every_state_are_had_at_every_location(database):
    await add_issuer(database)
    for state in ("next", "current", "previous"):
        await add_key(database, state, state=state)
    own = OwnKeys(database, public_url=PUBLIC)
    await own.reload()
    for url in (
        DISCOVERY,
        f"{ISSUER}/.well-known/oauth-authorization-server",
        f"{PUBLIC}/.well-known/oauth-authorization-server/i/main",
        f"{PUBLIC}/.well-known/openid-configuration/i/main",
    ):
        keys = await own.keys_for(url)
        assert (keys.issuer, keys.own) == (ISSUER, True)
        assert set(keys.keys) == {"next", "current", "previous"}


@pytest.mark.case("D20")
async def test_a_dropped_key_is_gone_after_a_reload(database):
    await add_issuer(database)
    await add_key(database, "a")
    await add_key(database, "b")
    own = OwnKeys(database, public_url=PUBLIC)
    await own.reload()
    async with database.write() as conn:
        assert await signing_keys.drop(conn, "a")
    assert set(own.get(DISCOVERY).keys) == {"a", "b"}
    await own.reload()
    assert set(own.get(DISCOVERY).keys) == {"b"}


async def test_issuers_do_not_share_keys(database):
    for name in ("main", "other"):
        await add_issuer(database, name)
        await add_key(database, f"of-{name}", issuer=name)
    own = OwnKeys(database, public_url=PUBLIC)
    await own.reload()
    assert set(own.get(DISCOVERY).keys) == {"of-main"}


async def test_when_storage_is_gone_the_keys_that_are_known_stay(database):
    await add_issuer(database)
    await add_key(database, "a")
    own = OwnKeys(database, public_url=PUBLIC)
    await own.reload()
    async with database.write() as conn:
        await conn.exec_driver_sql("ALTER TABLE signing_keys RENAME TO gone")
    with pytest.raises(StorageUnavailable):
        await own.reload()
    assert set(own.get(DISCOVERY).keys) == {"a"}


@pytest.mark.parametrize(
    "public",
    [PUBLIC, f"{PUBLIC}/base"],
)
async def test_an_issuer_that_is_not_served_is_never_looked_for_on_the_network(database, public):
    own = OwnKeys(database, public_url=public)
    await own.reload()
    network = Unreachable()
    trusted = TrustedKeys(own, network)
    path = public.removeprefix(PUBLIC)
    for url in (
        f"{public}/i/gone/.well-known/openid-configuration",
        f"{PUBLIC}/.well-known/oauth-authorization-server{path}/i/gone",
        f"{PUBLIC}/.well-known/openid-configuration{path}/i/gone",
        f"{public}/.well-known/openid-configuration",
        f"{PUBLIC}/.well-known/oauth-authorization-server{path}",
    ):
        with pytest.raises(KeysUnavailable) as refused:
            await trusted.keys_for(url)
        assert url in refused.value.debug_hint
    assert network.asked == []


async def test_the_issuer_that_is_the_origin_itself_has_its_keys_at_the_origin(database):
    await add_issuer(database, "root")
    await add_key(database, "a", issuer="root")
    own = OwnKeys(database, public_url=PUBLIC)
    await own.reload()
    for document in ("openid-configuration", "oauth-authorization-server"):
        keys = own.get(f"{PUBLIC}/.well-known/{document}")
        assert (keys.issuer, keys.own, set(keys.keys)) == (PUBLIC, True, {"a"})
    assert own.get(f"{PUBLIC}/i/root/.well-known/openid-configuration") is None


@pytest.mark.case("T18")
@pytest.mark.parametrize("path", ["/i/main", ""])
async def test_our_own_issuer_is_not_taken_for_a_foreign_one_when_its_url_is_spelt_differently(
    database, provider, foreign, path
):
    signer = Signer(f"{provider.origin}{path}")
    url = provider.publish(path, keys=[signer])
    trusted = TrustedKeys(OwnKeys(database, public_url=provider.origin), foreign)
    with pytest.raises(KeysUnavailable) as refused:
        await trusted.keys_for(url.replace("http://", "HTTP://"))
    assert provider.hits  # it was fetched as a stranger's, and turned out to be ours
    assert url in refused.value.debug_hint


async def test_issuers_elsewhere_are_asked_for_on_the_network(database):
    network = Unreachable()
    trusted = TrustedKeys(OwnKeys(database, public_url=PUBLIC), network)
    urls = [
        "https://idp.example/.well-known/openid-configuration",
        f"{PUBLIC}/keycloak/.well-known/openid-configuration",
    ]
    for url in urls:
        with pytest.raises(KeysUnavailable):
            await trusted.keys_for(url)
    assert network.asked == urls
