"""A whole process whose API is called by a real boto client: who is let in, and when that ends."""

import asyncio
import time

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from portico_process import Portico, until

from portico.control import access_keys
from portico.control.access_keys import NewAccessKey
from portico.service.keyring_file import read_keyring

REGION = "eu-central-1"
KEYS = {role: f"PORTICO_{role.upper():_<12}" for role in ("administrator", "operator", "reader", "invoker")}
SECRET = "declared-0123456789-0123456789-0123456789"
CONFINED = "PORTICO_OF_ONE_GATEWAY"


def declared(**changes):
    keys = [
        {"accessKeyId": key_id, "name": role, "role": role, "secret": changes.get(role, SECRET)}
        for role, key_id in KEYS.items()
    ]
    confined = {"accessKeyId": CONFINED, "name": "one", "role": "administrator", "secret": SECRET}
    return {
        "region": REGION,
        "accessKeys": [*keys, confined | {"gateways": ["tools"]}],
        "gateways": [
            {"name": name, "protocolType": "MCP", "authorizerType": "AWS_IAM"} for name in ("tools", "others")
        ],
    }


@pytest.fixture
async def portico(tmp_path):
    made = Portico(tmp_path, declared())
    async with made.running():
        yield made


@pytest.fixture
def call(portico):
    """Call an operation with a client of its own; the outcome is the output, or the error's name and status."""

    async def call(operation, key_id=KEYS["administrator"], secret=SECRET, *, region=REGION, **request):
        client = botocore.session.Session().create_client(
            "bedrock-agentcore-control",
            region_name=region,
            endpoint_url=portico.url,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}),
        )
        try:
            return await asyncio.to_thread(client._make_api_call, operation, request)
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        finally:
            client.close()

    return call


async def ids(portico):
    return {name: row.id for name, row in (await portico.gateways()).items()}


async def test_each_key_gets_as_far_as_its_role(portico, call):
    gateway = (await ids(portico))["tools"]
    denied = ("AccessDeniedException", 403)
    for role in ("administrator", "operator", "reader"):
        listed = await call("ListGateways", KEYS[role])
        assert {item["gatewayId"] for item in listed["items"]} == set((await ids(portico)).values())
    assert await call("ListGateways", KEYS["invoker"]) == denied
    for role in ("operator", "reader", "invoker"):
        assert await call("DeleteGateway", KEYS[role], gatewayIdentifier=gateway) == denied
    assert await call("GetTokenVault", KEYS["invoker"]) == denied
    assert gateway in (await ids(portico)).values()


async def test_a_confined_key_sees_its_gateway_alone(portico, call):
    known = await ids(portico)
    assert (await call("GetGateway", CONFINED, gatewayIdentifier=known["tools"]))["name"] == "tools"
    for operation, request in (
        ("GetGateway", {"gatewayIdentifier": known["others"]}),
        ("ListGateways", {}),
        ("CreateGateway", {"name": "more", "protocolType": "MCP", "authorizerType": "NONE", "roleArn": "x"}),
    ):
        assert (await call(operation, CONFINED, **request))[1] in {400, 403}
    arn = f"arn:aws:bedrock-agentcore:{REGION}:000000000000:gateway/{known['others']}"
    assert await call("ListTagsForResource", CONFINED, resourceArn=arn) == ("AccessDeniedException", 403)


async def test_who_proves_nothing_is_refused_by_amazons_names(portico, call):
    assert await call("ListGateways", secret=SECRET[::-1]) == ("InvalidSignatureException", 403)
    assert await call("ListGateways", region="us-east-1") == ("InvalidSignatureException", 403)
    assert await call("ListGateways", "AKIA0123456789ABCDEF") == ("UnrecognizedClientException", 403)
    answer = await portico.http.get("/gateways/")
    assert answer.status_code == 403
    assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
    assert answer.json() == {"message": "Missing Authentication Token"}


async def test_a_key_that_is_made_beside_the_process_counts_and_ends_within_a_poll(portico, call):
    keyring = read_keyring(portico.directory / "data" / "keyring")
    added = await access_keys.add(portico.database, keyring, name="new", role="reader", now=int(time.time()))
    assert isinstance(added, NewAccessKey)
    key = (added.key.access_key_id, added.secret.reveal())
    await until(lambda: _accepted(call, *key))
    await access_keys.disable(portico.database, key_id=key[0], now=int(time.time()))
    await until(lambda: _refused(call, *key))
    await access_keys.enable(portico.database, key_id=key[0])
    await until(lambda: _accepted(call, *key))
    await access_keys.delete(portico.database, key_id=key[0])
    await until(lambda: _refused(call, *key))


async def test_a_secret_that_the_file_changes_ends_the_former_one(portico, call):
    newer = SECRET[::-1]
    portico.document = declared(reader=newer)
    portico.write()
    await until(lambda: _accepted(call, KEYS["reader"], newer))
    assert await call("ListGateways", KEYS["reader"], SECRET) == ("InvalidSignatureException", 403)
    assert "items" in await call("ListGateways", KEYS["operator"], SECRET)


async def _accepted(call, key_id, secret):
    return "items" in await call("ListGateways", key_id, secret)


async def _refused(call, key_id, secret):
    return await call("ListGateways", key_id, secret) == ("UnrecognizedClientException", 403)
