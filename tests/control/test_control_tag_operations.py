"""TagResource, UntagResource and ListTagsForResource, on both databases."""

import pytest

from control.house import gateway, issuer
from portico.control.arns import parse_arn
from portico.model.errors import Conflict, InvalidInput, NotFound, QuotaExceeded
from portico.storage import changes, credential_providers, gateways
from portico.storage.credential_providers import CredentialProviderRow


@pytest.fixture
async def arn(api):
    return (await api.gateway(tags={"team": "a"}))["gatewayArn"]


async def tags_of(api, arn):
    return (await api("ListTagsForResource", resourceArn=arn))["tags"]


async def test_tags_are_added_changed_and_taken_away(api, arn):
    assert await tags_of(api, arn) == {"team": "a"}
    assert await api("TagResource", resourceArn=arn, tags={"team": "b", "stage": ""}) == {}
    assert await tags_of(api, arn) == {"team": "b", "stage": ""}
    assert await api("UntagResource", resourceArn=arn, tagKeys=["team", "nothing"]) == {}
    assert await tags_of(api, arn) == {"stage": ""}


async def test_a_gateways_workload_identity_and_a_provider_can_be_tagged(api, arn, database):
    provider = CredentialProviderRow(kind="api_key", name="keys", document={}, sealed="", created_at=1, updated_at=1)
    async with database.write() as conn:
        await credential_providers.add(conn, provider)
    gateway_id = arn.rpartition("/")[2]
    head = arn.partition(":gateway/")[0]
    for other in (
        f"{head}:workload-identity-directory/default/workload-identity/{gateway_id}",
        f"{head}:token-vault/default/apikeycredentialprovider/keys",
    ):
        await api("TagResource", resourceArn=other, tags={"a": "1"})
        assert await tags_of(api, other) == {"a": "1"}
    assert await tags_of(api, arn) == {"team": "a"}
    acps = head.replace(":bedrock-agentcore:", ":acps:") + ":token-vault/default/apikeycredentialprovider/keys"
    assert str(parse_arn(acps)) == f"{head}:token-vault/default/apikeycredentialprovider/keys"


@pytest.mark.parametrize(
    "change",
    [
        lambda arn: arn[:-1] + ("a" if arn[-1] != "a" else "b"),
        lambda arn: arn.replace("us-east-1", "eu-west-1"),
        lambda arn: arn.replace("0" * 12, "1" * 12),
        lambda arn: arn.replace(":gateway/", ":token-vault/default/oauth2credentialprovider/"),
    ],
)
async def test_what_is_not_there_has_no_tags(api, arn, change):
    for operation, more in (
        ("ListTagsForResource", {}),
        ("TagResource", {"tags": {"a": "1"}}),
        ("UntagResource", {"tagKeys": ["a"]}),
    ):
        with pytest.raises(NotFound):
            await api(operation, resourceArn=change(arn), **more)


async def test_other_kinds_of_resources_have_no_tags_here(api):
    for kind in ("runtime/x", "token-vault/default", "gateway/g-0123456789/target/ABCDEFGHIJ"):
        with pytest.raises(InvalidInput) as caught:
            await api("ListTagsForResource", resourceArn=f"arn:aws:bedrock-agentcore:us-east-1:000000000000:{kind}")
        assert [fault.path for fault in caught.value.faults] == ["resourceArn"]


async def test_reserved_keys_and_too_many_are_refused(api, arn):
    with pytest.raises(InvalidInput) as caught:
        await api("TagResource", resourceArn=arn, tags={"portico:managed-by": "me", "Aws:a": "b", "fine": ""})
    assert {fault.path for fault in caught.value.faults} == {"tags['portico:managed-by']", "tags['Aws:a']"}
    with pytest.raises(QuotaExceeded):
        await api.bounded(tags_per_resource=2)("TagResource", resourceArn=arn, tags={"b": "", "c": ""})
    await api.bounded(tags_per_resource=2)("TagResource", resourceArn=arn, tags={"team": "", "c": ""})


async def test_what_a_file_manages_shows_it_in_a_tag_and_keeps_its_tags(api, applied, read):
    await applied(issuers=[issuer()], gateways=[gateway(tags={"team": "a"})])
    [row] = await read(gateways.list_all)
    arn = (await api("GetGateway", gatewayIdentifier=row.id))["gatewayArn"]
    assert await tags_of(api, arn) == {"team": "a", "portico:managed-by": "portico.yaml"}
    for operation, more in (("TagResource", {"tags": {"a": "1"}}), ("UntagResource", {"tagKeys": ["team"]})):
        with pytest.raises(Conflict):
            await api(operation, resourceArn=arn, **more)
    await applied(issuers=[issuer()], gateways=[gateway(tags={"stage": "b"})])
    assert await tags_of(api, arn) == {"stage": "b", "portico:managed-by": "portico.yaml"}
    await applied(issuers=[issuer()], gateways=[gateway()])
    assert await tags_of(api, arn) == {"portico:managed-by": "portico.yaml"}


async def test_tags_that_stay_as_they_are_leave_no_record(api, arn, read):
    before = len(await read(changes.list_all))
    await api("TagResource", resourceArn=arn, tags={"team": "a"})
    await api("UntagResource", resourceArn=arn, tagKeys=["nothing"])
    assert len(await read(changes.list_all)) == before
