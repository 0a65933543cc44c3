"""CreateGateway, GetGateway, UpdateGateway, DeleteGateway and ListGateways, on both databases."""

import asyncio
import re
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from control.agentcore import GATEWAY, PUBLIC_URL, TOKEN, server
from control.conftest import declare
from control.house import gateway, issuer, jwt, target
from portico.control.apply import Applier
from portico.control.quotas import Quotas
from portico.model.errors import ConfigError, Conflict, InUse, InvalidInput, NotFound, ParameterMismatch, QuotaExceeded
from portico.storage import client_tokens, counters, gateways, tags, targets, workload_identities

ARN = "arn:aws:bedrock-agentcore:us-east-1:000000000000"


async def test_a_gateway_is_ready_in_the_answer_with_id_arn_url_and_workload_identity(api, read, clock):
    made = await api.gateway(description="All of them", exceptionLevel="DEBUG")
    gateway_id = made["gatewayId"]
    assert re.fullmatch(r"tools-[0-9a-z]{10}", gateway_id)
    assert made == GATEWAY | {
        "description": "All of them",
        "exceptionLevel": "DEBUG",
        "gatewayId": gateway_id,
        "gatewayArn": f"{ARN}:gateway/{gateway_id}",
        "gatewayUrl": f"{PUBLIC_URL}/g/{gateway_id}/mcp",
        "createdAt": int(clock.now),
        "updatedAt": int(clock.now),
        "status": "READY",
        "statusReasons": [],
        "workloadIdentityDetails": {
            "workloadIdentityArn": f"{ARN}:workload-identity-directory/default/workload-identity/{gateway_id}"
        },
    }
    assert await api("GetGateway", gatewayIdentifier=gateway_id) == made
    identity = await read(workload_identities.get, gateway_id)
    assert (identity.owner, identity.document) == (gateway_id, {"name": gateway_id})
    assert (await read(counters.read_all))[f"gateway/{gateway_id}"] == 1


async def test_a_name_is_taken_once(api):
    await api.gateway()
    with pytest.raises(Conflict) as caught:
        await api.gateway()
    assert "'Tools' exists" in caught.value.public
    assert len(await api.every("ListGateways")) == 1


async def test_of_gateways_of_one_name_that_are_made_at_once_one_is_made(api):
    made = await asyncio.gather(*(api.gateway() for _ in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in made if isinstance(outcome, Exception)] == [Conflict] * 4


async def test_a_document_is_refused_as_a_file_would_be(api, applied):
    with pytest.raises(InvalidInput) as caught:
        await api.gateway(authorizerType="CUSTOM_JWT", kmsKeyArn=f"arn:aws:kms:us-east-1:{'1' * 12}:key/{'a' * 36}")
    assert {fault.path for fault in caught.value.faults} == {
        "kmsKeyArn",
        "authorizerConfiguration.customJWTAuthorizer",
    }


async def test_an_issuer_of_ours_must_be_there_when_a_gateway_names_it(api, applied):
    document = {"authorizerType": "CUSTOM_JWT", "authorizerConfiguration": jwt()}
    with pytest.raises(InvalidInput) as caught:
        await api.gateway(**document)
    assert "not declared" in caught.value.public
    await applied(issuers=[issuer()])
    assert (await api.gateway(**document))["status"] == "READY"


async def test_an_update_replaces_everything_and_resets_what_is_left_out(api, clock, read):
    versions = {"mcp": {"supportedVersions": ["2025-11-25"], "instructions": "Use them well."}}
    made = await api.gateway(description="one", protocolConfiguration=versions, tags={"team": "a"})
    clock.now += 5
    changed = await api(
        "UpdateGateway",
        gatewayIdentifier=made["gatewayId"],
        **GATEWAY,
        protocolConfiguration={"mcp": {"supportedVersions": ["2025-06-18"]}},
    )
    assert "description" not in changed
    assert changed["protocolConfiguration"] == {"mcp": {"supportedVersions": ["2025-06-18"]}}
    assert (changed["createdAt"], changed["updatedAt"]) == (made["createdAt"], made["createdAt"] + 5)
    assert await api("GetGateway", gatewayIdentifier=made["gatewayId"]) == changed
    assert (await read(counters.read_all))[f"gateway/{made['gatewayId']}"] == 2
    assert await read(tags.get, made["gatewayArn"]) == {"team": "a"}


async def test_an_update_keeps_the_name(api):
    made = await api.gateway()
    with pytest.raises(InvalidInput) as caught:
        await api("UpdateGateway", gatewayIdentifier=made["gatewayId"], **(GATEWAY | {"name": "Other"}))
    assert [fault.path for fault in caught.value.faults] == ["name"]


async def test_an_update_to_the_same_changes_nothing(api, read, clock):
    made = await api.gateway()
    clock.now += 5
    assert await api("UpdateGateway", gatewayIdentifier=made["gatewayId"], **GATEWAY) == made
    assert (await read(counters.read_all))[f"gateway/{made['gatewayId']}"] == 1


class Meeting:
    """A database whose writers wait until all of them have read."""

    def __init__(self, database, writers):
        self.read = database.read
        self._write = database.write
        self._everybody = asyncio.Barrier(writers)

    @asynccontextmanager
    async def write(self, **kwargs):
        async with asyncio.timeout(30):
            await self._everybody.wait()
        async with self._write(**kwargs) as conn:
            yield conn


async def test_of_concurrent_updates_one_wins_and_the_others_get_a_conflict(api, database, read):
    made = await api.gateway()
    api.database = Meeting(database, 3)
    updates = (
        api("UpdateGateway", gatewayIdentifier=made["gatewayId"], **GATEWAY, description=f"number {n}")
        for n in range(3)
    )
    outcomes = await asyncio.gather(*updates, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "Conflict", "dict"]
    winner = next(outcome for outcome in outcomes if isinstance(outcome, dict))
    stored = await read(gateways.get, made["gatewayId"])
    assert (stored.document["description"], stored.revision) == (winner["description"], 2)


async def test_a_deleted_gateway_is_gone_with_identity_and_tags(api, read):
    made = await api.gateway(tags={"team": "a"})
    deleted = await api("DeleteGateway", gatewayIdentifier=made["gatewayId"])
    assert deleted == {"gatewayId": made["gatewayId"], "status": "DELETING", "statusReasons": []}
    with pytest.raises(NotFound):
        await api("GetGateway", gatewayIdentifier=made["gatewayId"])
    with pytest.raises(NotFound):
        await api("DeleteGateway", gatewayIdentifier=made["gatewayId"])
    assert await read(workload_identities.list_all) == []
    assert await read(tags.list_all) == {}
    assert (await read(counters.read_all))[f"gateway/{made['gatewayId']}"] == 2


async def test_a_gateway_with_targets_cannot_be_deleted(api):
    made = await api.gateway()
    attached = await api.target(made)
    with pytest.raises(InUse) as caught:
        await api("DeleteGateway", gatewayIdentifier=made["gatewayId"])
    assert "delete all targets before deleting the gateway" in caught.value.public
    await api("DeleteGatewayTarget", gatewayIdentifier=made["gatewayId"], targetId=attached["targetId"])
    await api("DeleteGateway", gatewayIdentifier=made["gatewayId"])


async def test_gateways_are_listed_by_name_page_by_page(api):
    for name in ("b", "C", "a", "e", "d"):
        await api.gateway(name=name)
    page = await api("ListGateways", maxResults=2)
    assert len(page["items"]) == 2
    assert set(page["items"][0]) == {
        "gatewayId",
        "name",
        "status",
        "createdAt",
        "updatedAt",
        "authorizerType",
        "protocolType",
    }
    names = [item["name"] for item in await api.every("ListGateways", maxResults=2)]
    assert len(names) == len(set(names)) == 5
    assert names == [item["name"] for item in await api.every("ListGateways")]


async def test_a_page_token_is_good_for_its_own_list_only(api):
    for name in ("a", "b"):
        made = await api.gateway(name=name)
        await api.target(made, name="one")
        await api.target(made, name="two")
    token = (await api("ListGateways", maxResults=1))["nextToken"]
    other = (await api("ListGatewayTargets", gatewayIdentifier=made["gatewayId"], maxResults=1))["nextToken"]
    for wrong in (other, token[:-2] + "AA", "v1.k1.AAAA", "nothing"):
        with pytest.raises(InvalidInput) as caught:
            await api("ListGateways", nextToken=wrong)
        assert [fault.path for fault in caught.value.faults] == ["nextToken"]


async def test_the_same_client_token_makes_one_gateway_and_gets_the_same_answer(api, clock):
    first = await api.gateway(clientToken=TOKEN)
    clock.now += 60
    assert await api.gateway(clientToken=TOKEN) == first
    assert len(await api.every("ListGateways")) == 1


async def test_a_client_token_with_another_request_is_refused(api):
    await api.gateway(clientToken=TOKEN)
    with pytest.raises(ParameterMismatch) as caught:
        await api.gateway(clientToken=TOKEN, description="other")
    assert caught.value.reason == "IdempotentParameterMismatchException"
    assert [fault.path for fault in caught.value.faults] == ["clientToken"]


async def test_a_client_token_of_a_refused_request_is_free(api, read, clock):
    await api.gateway()
    with pytest.raises(Conflict):
        await api.gateway(clientToken=TOKEN)
    assert await read(client_tokens.get, "CreateGateway", TOKEN, now=int(clock.now)) is None
    await api.gateway(clientToken=TOKEN, name="Other")


async def test_a_client_token_is_forgotten_after_a_day(api, clock):
    await api.gateway(clientToken=TOKEN)
    clock.now += 24 * 3600
    assert (await api.gateway(clientToken=TOKEN, name="Other"))["name"] == "Other"


async def test_requests_of_one_client_token_at_once_make_one_gateway(api):
    made = await asyncio.gather(*(api.gateway(clientToken=TOKEN) for _ in range(5)))
    assert len({answer["gatewayId"] for answer in made}) == 1


async def test_there_are_no_more_gateways_than_the_quota_says(api):
    few = api.bounded(gateways=1)
    await few.gateway()
    with pytest.raises(QuotaExceeded) as caught:
        await few.gateway(name="Other")
    assert "quotas.gateways" in caught.value.public


async def test_there_are_no_more_tags_than_the_quota_says_and_none_of_ours(api):
    few = api.bounded(tags_per_resource=1)
    with pytest.raises(QuotaExceeded):
        await few.gateway(tags={"a": "1", "b": "2"})
    with pytest.raises(InvalidInput) as caught:
        await api.gateway(tags={"portico:managed-by": "me", "AWS:x": "y"})
    assert len(caught.value.faults) == 2


async def test_a_gateway_of_the_file_says_so_and_refuses_changes_of_the_api(api, applied, read):
    await applied(issuers=[issuer()], gateways=[gateway(tags={"team": "a"})])
    [row] = await read(gateways.list_all)
    shown = await api("GetGateway", gatewayIdentifier=row.id)
    assert shown["statusReasons"] == ["Managed by portico.yaml; change it there."]
    with pytest.raises(Conflict) as caught:
        await api("UpdateGateway", gatewayIdentifier=row.id, **GATEWAY)
    assert "portico.yaml" in caught.value.public
    with pytest.raises(Conflict):
        await api("DeleteGateway", gatewayIdentifier=row.id)
    assert await read(gateways.list_all) == [row]


async def test_a_file_is_refused_a_name_of_the_api_and_a_gateway_that_has_targets_of_the_api(api, applied, read):
    await api.gateway(name="Mine")
    with pytest.raises(ConfigError) as caught:
        await applied(issuers=[issuer()], gateways=[gateway(name="Mine")])
    assert [fault.path for fault in caught.value.faults] == ["gateways[0].name"]
    await applied(issuers=[issuer()], gateways=[gateway(targets=[target()])])
    row = next(row for row in await read(gateways.list_all) if row.managed_by)
    await api.target({"gatewayId": row.id}, name="extra")
    with pytest.raises(ConfigError) as caught:
        await applied(issuers=[issuer()])
    assert "'Tools' has 1 targets" in caught.value.public
    assert len(await api.every("ListGatewayTargets", gatewayIdentifier=row.id)) == 2


async def test_a_file_is_bound_by_the_quotas_too(database, keyring, clock):
    applier = Applier(database, keyring, clock=clock, quotas=Quotas(gateways=1, targets_per_gateway=1))
    document = {"issuers": [issuer()], "gateways": [gateway(targets=[target(), target(name="b")]), gateway(name="B")]}
    with pytest.raises(ConfigError) as caught:
        await applier.apply(declare(document))
    assert [fault.path for fault in caught.value.faults] == ["gateways[0].targets[1].name", "gateways[1].name"]


async def test_sessions_are_refused_while_a_target_passes_the_session_header_on(api, database):
    made = await api.gateway()
    attached = await api.target(made, targetConfiguration=server())
    async with database.write() as conn:  # as a target would be that was saved under a gateway without sessions
        row = await targets.get(conn, attached["targetId"])
        document = row.document | {"metadataConfiguration": {"allowedRequestHeaders": ["Mcp-Session-Id"]}}
        await targets.replace(conn, replace(row, document=document), expected_revision=row.revision)
    with pytest.raises(InvalidInput) as caught:
        await api(
            "UpdateGateway",
            gatewayIdentifier=made["gatewayId"],
            **GATEWAY,
            protocolConfiguration={"mcp": {"sessionConfiguration": {}}},
        )
    assert "target calc" in caught.value.faults[0].path
