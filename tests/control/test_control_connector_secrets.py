"""The secrets of connectors: sealed where they are stored, and the same secret is no change."""

import json
import os

import pytest

from control.house import issuer
from portico.control.connector_secrets import digestible, seal_document, without_secrets
from portico.crypto.keyring import Keyring
from portico.model.errors import SealError
from portico.oauth.connector_settings import CONNECTOR_SECRET
from portico.storage import changes, counters, issuers

SECRET = "what the company gave us"
COMPANY = {
    "name": "company",
    "type": "oidc",
    "discoveryUrl": "https://idp.example/.well-known/openid-configuration",
    "clientId": "portico",
    "clientSecret": SECRET,
}
LOCAL = {"name": "local", "type": "local"}


def with_connectors(*connectors, **more):
    return issuer(users=[], clients=[], connectors=list(connectors), **more)


async def row_of(database):
    async with database.read() as conn:
        return await issuers.get(conn, "main")


async def records_of(database):
    async with database.read() as conn:
        return [row.record for row in await changes.list_all(conn) if row.record["operation"].endswith("Issuer")]


async def counter_of(database):
    async with database.read() as conn:
        return (await counters.read_all(conn))["issuer/main"]


async def test_a_secret_is_stored_sealed_for_its_issuer_and_connector(applied, database, keyring):
    await applied(issuers=[with_connectors(LOCAL, COMPANY)])
    row = await row_of(database)
    assert SECRET not in json.dumps(row.document)
    local, company = row.document["connectors"]
    assert "clientSecret" not in local
    sealed = company["clientSecret"]
    assert keyring.open(CONNECTOR_SECRET, sealed, aad=b"main|company").decode() == SECRET
    for elsewhere in (b"main|other", b"other|company", b""):
        with pytest.raises(SealError):
            keyring.open(CONNECTOR_SECRET, sealed, aad=elsewhere)


async def test_the_same_secret_again_is_no_change(applied, database):
    await applied(issuers=[with_connectors(COMPANY)])
    before = await row_of(database), await counter_of(database)
    await applied(issuers=[with_connectors(COMPANY)])
    assert (await row_of(database), await counter_of(database)) == before
    assert [record["operation"] for record in await records_of(database)] == ["CreateIssuer"]


async def test_another_secret_is_a_change_that_is_recorded_without_it(applied, database, keyring):
    await applied(issuers=[with_connectors(COMPANY)])
    counter = await counter_of(database)
    await applied(issuers=[with_connectors(COMPANY | {"clientSecret": "another one"})])
    assert digestible(keyring, "main", (await row_of(database)).document) == {"company": "another one"}
    assert await counter_of(database) > counter
    records = await records_of(database)
    assert sorted(record["operation"] for record in records) == ["CreateIssuer", "UpdateIssuer"]
    text = json.dumps(records)
    assert SECRET not in text
    assert "another one" not in text
    assert "v1.k1." not in text, "not even its seal"


async def test_another_setting_keeps_the_seal(applied, database):
    await applied(issuers=[with_connectors(COMPANY)])
    [before] = (await row_of(database)).document["connectors"]
    await applied(issuers=[with_connectors(COMPANY | {"title": "Company"})])
    [after] = (await row_of(database)).document["connectors"]
    assert after == before | {"title": "Company"}


def test_a_seal_of_an_older_key_is_made_anew_and_one_that_opens_nowhere_too():
    old, new = os.urandom(32), os.urandom(32)
    stored = seal_document(Keyring({"old": old}), "main", {"connectors": [COMPANY]})
    rotated = Keyring({"new": new, "old": old})
    for keyring in (rotated, Keyring({"new": new})):
        again = seal_document(keyring, "main", {"connectors": [COMPANY]}, stored)
        assert again["connectors"][0]["clientSecret"].startswith("v1.new.")
        assert digestible(keyring, "main", again) == {"company": SECRET}
        assert seal_document(keyring, "main", {"connectors": [COMPANY]}, again) == again


async def test_a_newer_sealing_key_takes_over_without_a_record(applied, database, keyring):
    await applied(issuers=[with_connectors(COMPANY)])
    keyring.adopt(Keyring({"k2": os.urandom(32), "k1": keyring._masters["k1"]}))
    await applied(issuers=[with_connectors(COMPANY)])
    [company] = (await row_of(database)).document["connectors"]
    assert company["clientSecret"].startswith("v1.k2.")
    assert [record["operation"] for record in await records_of(database)] == ["CreateIssuer"]


def test_a_document_without_connectors_stays_as_it_is():
    keyring = Keyring({"k1": os.urandom(32)})
    document = {"scopes": ["a"]}
    assert seal_document(keyring, "main", document) == without_secrets(document) == document
    assert digestible(keyring, "main", document) == {}
