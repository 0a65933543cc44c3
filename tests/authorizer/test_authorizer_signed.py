"""Gateways whose callers sign: AWS_IAM asks for a key that may invoke the gateway, AUTHENTICATE_ONLY for any key."""

import os
from dataclasses import replace

import pytest

from portico.authorizer.access_keys import AccessKeys, sealed_secret
from portico.authorizer.authorizer import Authorizer
from portico.authorizer.revocations import Revocations
from portico.authorizer.sigv4 import Signatures
from portico.crypto.keyring import Keyring
from portico.model.documents import parse_gateway
from portico.model.errors import Forbidden, InvalidSignature, InvalidToken, MissingSignature, TooLarge
from portico.model.gateway import AuthenticateOnlyAuthorizer, IamAuthorizer, JwtAuthorizer, NoAuthorizer
from portico.model.principal import ANONYMOUS
from portico.model.secret import Secret
from portico.storage import access_keys
from portico.storage.access_keys import AccessKeyRow
from portico.web.exchange import AsgiExchange
from support.signing import SECRET, Signer

GATEWAY = "tools-0123456789"
OTHER = "other-0123456789"
URL = f"https://gw.example/g/{GATEWAY}/mcp"
NOW = 1_800_000_000.0
BODY = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
IAM = IamAuthorizer(gateway_id=GATEWAY)
ONLY = AuthenticateOnlyAuthorizer()

#: name of the key → role, gateways
KEYS = {
    "ADMINISTRATOR_ALL": ("administrator", ()),
    "OPERATOR_OF_THIS": ("operator", (GATEWAY,)),
    "INVOKER_OF_THIS_1": ("invoker", (GATEWAY,)),
    "INVOKER_OF_ALL_12": ("invoker", ()),
    "INVOKER_OF_OTHER_": ("invoker", (OTHER,)),
    "ADMINISTRATOR_OTHER": ("administrator", (OTHER,)),
    "READER_OF_ALL_1234": ("reader", ()),
}
MAY_INVOKE = {"ADMINISTRATOR_ALL", "OPERATOR_OF_THIS", "INVOKER_OF_THIS_1", "INVOKER_OF_ALL_12"}


class NoKeys:
    """Nobody's keys: no token is looked at in these tests."""

    async def keys_for(self, discovery_url, *, kid=None):
        raise AssertionError(discovery_url)


@pytest.fixture
async def authorizer(database):
    keyring = Keyring({"k1": os.urandom(32)})
    async with database.write() as conn:
        for key_id, (role, gateways) in KEYS.items():
            row = AccessKeyRow(
                id=key_id,
                sealed_secret=sealed_secret(keyring, key_id, Secret(SECRET)),
                name=f"user-of-{role}",
                role=role,
                gateways=gateways,
                created_at=1,
            )
            await access_keys.add(conn, row)
    keys = AccessKeys(database, keyring)
    await keys.reload()
    signatures = Signatures(keys, region="us-east-1", clock=lambda: NOW)
    return Authorizer(keys=NoKeys(), revocations=Revocations(database), signatures=signatures)


class Reader:
    """A body, and whether somebody read it."""

    def __init__(self, body, error=None):
        self.content = body
        self.error = error
        self.asked = 0

    async def __call__(self, limit):
        self.asked += 1
        if self.error is not None:
            raise self.error
        assert len(self.content) <= limit
        return self.content


class Request(AsgiExchange):
    """A signed request whose body is what a reader says."""

    def __init__(self, sent, reader):
        super().__init__({**sent.scope}, None, None)
        self.reader = reader

    async def body(self, limit):
        return await self.reader(limit)


def sign(key_id, method="POST", body=BODY, **more):
    return Signer(key_id=key_id, **more).sign(method, URL, now=NOW, body=body)


async def authenticate(authorizer, rules, sent, reader=None):
    reader = reader or Reader(sent.body)
    request = Request(sent, reader)
    return await authorizer.authenticate(
        rules, audience=frozenset({URL}), authorization=sent.header(b"authorization"), request=request
    )


@pytest.mark.parametrize("key_id", KEYS)
async def test_only_a_key_that_may_invoke_the_gateway_gets_into_one_with_aws_iam(authorizer, key_id):
    if key_id in MAY_INVOKE:
        assert (await authenticate(authorizer, IAM, sign(key_id))).client_id == key_id
        return
    with pytest.raises(Forbidden) as caught:
        await authenticate(authorizer, IAM, sign(key_id))
    assert "bedrock-agentcore:InvokeGateway" in caught.value.public
    assert caught.value.caller.client_id == key_id


@pytest.mark.parametrize("key_id", KEYS)
async def test_every_key_gets_into_one_that_authenticates_only(authorizer, key_id):
    assert (await authenticate(authorizer, ONLY, sign(key_id))).client_id == key_id


async def test_the_caller_is_the_key_s_user_so_that_keys_can_be_changed(authorizer):
    first = await authenticate(authorizer, IAM, sign("INVOKER_OF_THIS_1"))
    second = await authenticate(authorizer, IAM, sign("INVOKER_OF_ALL_12"))
    other = await authenticate(authorizer, IAM, sign("OPERATOR_OF_THIS"))
    assert (first.kind, first.subject) == ("aws", "arn:aws:iam::000000000000:user/user-of-invoker")
    assert first.key == second.key
    assert other.key != first.key


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_request_without_a_body_is_signed_too(authorizer, method):
    sent = sign("INVOKER_OF_THIS_1", method, b"")
    assert (await authenticate(authorizer, IAM, sent)).kind == "aws"


@pytest.mark.parametrize("rules", [IAM, ONLY])
async def test_another_body_than_the_signed_one_is_refused(authorizer, rules):
    with pytest.raises(InvalidSignature):
        await authenticate(authorizer, rules, sign("ADMINISTRATOR_ALL"), Reader(BODY + b" "))


@pytest.mark.parametrize("rules", [IAM, ONLY])
async def test_a_signature_for_another_gateway_s_path_is_refused(authorizer, rules):
    sent = replace(sign("ADMINISTRATOR_ALL"), raw_path=f"/g/{OTHER}/mcp".encode())
    with pytest.raises(InvalidSignature):
        await authenticate(authorizer, rules, sent)


async def test_no_body_is_read_of_whoever_has_no_signature_in_order(authorizer):
    sent = sign("ADMINISTRATOR_ALL").with_credential(region="eu-west-1")
    reader = Reader(BODY)
    with pytest.raises(InvalidSignature):
        await authenticate(authorizer, IAM, sent, reader)
    assert reader.asked == 0


async def test_a_body_that_cannot_be_read_is_told_as_such(authorizer):
    with pytest.raises(TooLarge):
        await authenticate(authorizer, IAM, sign("ADMINISTRATOR_ALL"), Reader(BODY, TooLarge("too much")))


@pytest.mark.parametrize("rules", [IAM, ONLY])
async def test_without_a_request_nobody_is_believed(authorizer, rules):
    authorization = sign("ADMINISTRATOR_ALL").header(b"authorization")
    with pytest.raises(MissingSignature):
        await authorizer.authenticate(rules, audience=frozenset({URL}), authorization=authorization)


async def test_a_process_that_verifies_no_signatures_believes_nobody(database):
    blind = Authorizer(keys=NoKeys(), revocations=Revocations(database))
    with pytest.raises(MissingSignature):
        await authenticate(blind, ONLY, sign("ADMINISTRATOR_ALL"))


async def test_a_signature_is_no_token(authorizer):
    rules = JwtAuthorizer(discovery_url="https://idp.example/.well-known/openid-configuration")
    with pytest.raises(InvalidToken):
        await authenticate(authorizer, rules, sign("ADMINISTRATOR_ALL"))


async def test_where_anyone_may_call_a_signature_is_not_looked_at(authorizer):
    reader = Reader(BODY)
    sent = sign("ADMINISTRATOR_ALL").with_credential(region="nowhere")
    assert await authenticate(authorizer, NoAuthorizer(), sent, reader) is ANONYMOUS
    assert reader.asked == 0


@pytest.mark.parametrize(("kind", "rules"), [("AWS_IAM", IAM), ("AUTHENTICATE_ONLY", ONLY), ("NONE", NoAuthorizer())])
def test_each_kind_of_authorizer_is_compiled_from_its_document(kind, rules):
    document = {"name": "tools", "protocolType": "MCP", "authorizerType": kind}
    gateway = parse_gateway(gateway_id=GATEWAY, document=document, extension={}, revision=1)
    assert gateway.authorizer == rules
