"""Providers and workload identities of a file, and what applying it would change, on both databases."""

import pytest

from control.conftest import PUBLIC_URL, declare, no_file
from control.house import gateway, issuer, target
from portico.control.apply import Applier
from portico.control.declared import read_declarations
from portico.control.differences import MemberDifference
from portico.model.errors import ConfigError, Conflict
from portico.net.egress import Egress
from portico.storage import counters, credential_providers, gateways, jobs, tags, targets, workload_identities

ARN = "arn:aws:bedrock-agentcore:us-east-1:000000000000"
KEY_PROVIDER = {"name": "weather", "secret": "an api key", "tags": {"team": "weather"}}
PROVIDER = {
    "name": "custom",
    "credentialProviderVendor": "GithubOauth2",
    "oauth2ProviderConfigInput": {"githubOauth2ProviderConfig": {"clientId": "c", "clientSecret": "a secret"}},
}
IDENTITY = {"name": "agent", "allowedResourceOauth2ReturnUrls": ["https://app.example/done"], "tags": {"a": "b"}}
USES = {
    "credentialProviderConfigurations": [
        {
            "credentialProviderType": "API_KEY",
            "credentialProvider": {
                "apiKeyCredentialProvider": {
                    "providerArn": f"{ARN}:token-vault/default/apikeycredentialprovider/weather"
                }
            },
        }
    ]
}


def file(**changes):
    document = {
        "issuers": [issuer()],
        "oauth2CredentialProviders": [PROVIDER],
        "apiKeyCredentialProviders": [KEY_PROVIDER],
        "workloadIdentities": [IDENTITY],
        "gateways": [gateway(targets=[target(**USES)])],
    }
    return document | changes


def faults_of(**document):
    _, faults = read_declarations(document, public_url=PUBLIC_URL, egress=Egress(), read_file=no_file)
    return {fault.path: fault.message for fault in faults}


@pytest.fixture
def applier(database, keyring, clock):
    return Applier(database, keyring, clock=clock)


async def everything(read):
    modules = (gateways, targets, credential_providers, workload_identities, tags)
    listed = [await read(module.list_all) for module in modules]
    return [*listed, await read(counters.read_all), await read(jobs.next_due)]


async def test_a_rehearsal_tells_what_applying_does_and_leaves_nothing(applier, read):
    before = await everything(read)
    told = await applier.rehearse(declare(file()))
    assert await everything(read) == before
    assert await applier.apply_and_tell(declare(file())) == told
    assert [(found.action, found.kind, found.name) for found in told] == [
        ("created", "issuer", "main"),
        ("created", "user", "main/ada"),
        ("created", "client", "main/robot"),
        ("created", "OAuth2 credential provider", "custom"),
        ("created", "API key credential provider", "weather"),
        ("created", "workload identity", "agent"),
        ("created", "gateway", "Tools"),
        ("created", "target", "Tools/calc"),
    ]
    assert await applier.rehearse(declare(file())) == []
    assert await applier.apply_and_tell(declare(file())) == []


async def test_a_rehearsal_is_refused_where_applying_would_be(applier, api, read):
    await api.gateway()
    with pytest.raises(ConfigError) as raised:
        await applier.rehearse(declare(file()))
    assert [fault.path for fault in raised.value.faults] == ["gateways[0].name"]
    assert await read(credential_providers.list_all) == []


async def test_what_a_file_no_longer_declares_goes_in_the_order_in_which_it_can(applier, read):
    await applier.apply(declare(file()))
    told = await applier.apply_and_tell(declare({"issuers": [issuer()]}))
    assert {found.action for found in told} == {"removed"}
    assert await read(credential_providers.list_all) == []
    assert await read(workload_identities.list_all) == []
    assert await read(tags.list_all) == {}


async def test_a_provider_that_the_api_uses_cannot_go(applier, api, read):
    await applier.apply(declare(file(gateways=[])))
    made = await api.gateway()
    await api.target(made, name="theirs", **USES)
    with pytest.raises(ConfigError) as raised:
        await applier.apply(declare(file(gateways=[], apiKeyCredentialProviders=[])))
    assert "'weather' is used by 1 targets (theirs)" in str(raised.value)
    assert len(await read(credential_providers.list_all)) == 2


async def test_a_gateways_new_document_is_judged_by_the_targets_that_others_attached(applier, api, read):
    await applier.apply(declare(file()))
    [row] = await read(gateways.list_all)
    metadata = {"metadataConfiguration": {"allowedRequestHeaders": ["Mcp-Session-Id"]}}
    await api.target({"gatewayId": row.id}, name="theirs")
    async with api.database.write() as conn:  # as an update of ours that allows it will save it
        theirs = await targets.by_name(conn, row.id, "theirs")
        await targets.replace(conn, _with(theirs, metadata), expected_revision=theirs.revision)
    keeps = gateway(protocolConfiguration={"mcp": {"sessionConfiguration": {}}}, targets=[target(**USES)])
    with pytest.raises(ConfigError) as raised:
        await applier.apply(declare(file(gateways=[keeps])))
    assert "does not fit the target 'theirs' (metadataConfiguration.allowedRequestHeaders[0]" in str(raised.value)


def _with(row, members):
    from dataclasses import replace

    return replace(row, document=row.document | members)


async def test_a_gateways_own_identity_is_no_files_to_declare(applier, read):
    await applier.apply(declare(file()))
    [row] = await read(gateways.list_all)
    with pytest.raises(ConfigError) as raised:
        await applier.apply(declare(file(workloadIdentities=[{"name": row.id}])))
    assert "is made and deleted with the gateway" in str(raised.value)


async def test_the_api_refuses_to_change_what_a_file_manages_and_says_whose_it_is(applier, api):
    await applier.apply(declare(file()))
    with pytest.raises(Conflict) as raised:
        await api("UpdateApiKeyCredentialProvider", name="weather", apiKey="x")
    assert "managed by portico.yaml" in raised.value.public
    shown = await api("ListTagsForResource", resourceArn=f"{ARN}:token-vault/default/apikeycredentialprovider/weather")
    assert shown["tags"] == {"team": "weather", "portico:managed-by": "portico.yaml"}
    with pytest.raises(Conflict):
        await api("DeleteWorkloadIdentity", name="agent")


async def test_members_that_differ_are_told_and_secrets_are_stars(applier):
    await applier.apply(declare(file()))
    other = {**KEY_PROVIDER, "secret": "another key", "tags": {"team": "weather", "cost": "1"}}
    [told] = await applier.rehearse(declare(file(apiKeyCredentialProviders=[other])))
    assert (told.action, told.members) == (
        "changed",
        (
            MemberDifference(path="tags.cost", before=None, after="1"),
            MemberDifference(path="secret", before="********", after="********"),
        ),
    )


async def test_what_nobody_manages_removes_nothing_and_takes_nothing_over(applier, api, read):
    await api.gateway(name="theirs")
    document = declare(file(issuers=[], gateways=[]))
    from dataclasses import replace

    told = await applier.apply_and_tell(replace(document, managed_by=""))
    assert {found.action for found in told} == {"created"}
    assert {row.managed_by for row in await read(credential_providers.list_all)} == {""}
    assert [row.name for row in await read(gateways.list_all)] == ["theirs"]
    await api("DeleteApiKeyCredentialProvider", name="weather")


def test_every_way_to_give_a_secret_is_known_and_exactly_one_is_taken(tmp_path):
    (tmp_path / "key").write_text("from a file\n")
    declared = declare(
        {"apiKeyCredentialProviders": [{"name": "f", "secretFile": str(tmp_path / "key")}]},
        read_file=lambda name: (tmp_path / name).read_text(),
    )
    [found] = declared.providers
    assert {name: secret.reveal() for name, secret in found.request.secrets.items()} == {"apiKey": "from a file"}
    for given in ({}, {"secret": "a", "apiKey": "b"}, {"secret": "a", "secretFile": "b"}):
        faults = faults_of(apiKeyCredentialProviders=[{"name": "k", **given}])
        assert "needs exactly one of secret, secretFile, apiKey" in faults["apiKeyCredentialProviders[0]"]
    faults = faults_of(oauth2CredentialProviders=[{**PROVIDER, "secret": "a"}])
    assert "needs exactly one of secret, secretFile, clientSecret" in faults["oauth2CredentialProviders[0]"]


def test_providers_and_identities_are_judged_as_by_the_api():
    faults = faults_of(
        oauth2CredentialProviders=[
            {**PROVIDER, "credentialProviderVendor": "NobodyOauth2"},
            {**PROVIDER, "name": "b", "x-portico": {"allowPrivateAddresses": "yes", "era": "auto"}},
            {**PROVIDER, "name": "c", "credentialProviderVendor": "GoogleOauth2", "secret": "x"},
            PROVIDER,
            PROVIDER,
        ],
        apiKeyCredentialProviders=[{"name": "k", "secret": "line\nbreak", "x-portico": {}, "tags": {"aws:x": "y"}}],
        workloadIdentities=[
            {"name": "agent", "allowedResourceOauth2ReturnUrls": ["javascript:alert(1)"]},
            {"nam": "x"},
        ],
    )
    assert set(faults) == {
        "oauth2CredentialProviders[0].credentialProviderVendor",
        "oauth2CredentialProviders[1].x-portico.allowPrivateAddresses",
        "oauth2CredentialProviders[1].x-portico.era",
        "oauth2CredentialProviders[2].oauth2ProviderConfigInput",
        "oauth2CredentialProviders[4].name",
        "apiKeyCredentialProviders[0].x-portico",
        "apiKeyCredentialProviders[0].apiKey",
        "apiKeyCredentialProviders[0].tags['aws:x']",
        "workloadIdentities[0].allowedResourceOauth2ReturnUrls[0]",
        "workloadIdentities[1].name",
        "workloadIdentities[1].nam",
    }
