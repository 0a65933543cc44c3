"""``portico export --to-aws`` and ``import --from-aws``, with a second Portico as the other side."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request

import pytest
from botocore.exceptions import ClientError

from cli.conftest import declare
from cli.everything import EVERYTHING, SECRETS
from portico.cli.aws.endpoint import AgentCore
from portico.control.aws_documents import built_here, gateway_document, oauth_document
from portico.control.importing import Bounds, Import
from portico.control.quotas import DEFAULT_QUOTAS
from portico.control.relaxations import Ground
from portico.control.resources import Place
from portico.identity.sealing import open_secrets
from portico.model.errors import UpstreamError
from portico.net.egress import Egress
from portico.service.keyring_file import read_keyring
from portico.service.settings import load_settings
from portico.storage import credential_providers, gateways
from portico.storage.engine import Database
from support.ports import free_port

BOUND = 60.0  #: seconds for a process to serve
MOVED = ("oauth2CredentialProviders", "apiKeyCredentialProviders", "workloadIdentities", "gateways")


@contextlib.contextmanager
def serving(place, **settings):
    """Serve a place in a process of its own; yields what boto3 needs."""
    port = free_port()
    place.write({"public_url": "https://portico.example", "listen": f"127.0.0.1:{port}"} | settings)
    added = place.json("access-keys", "add", "mover", "--role", "administrator")
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PORTICO_")}
    command = [sys.executable, "-m", "portico", "serve", "--config", str(place.config)]
    with subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/readyz", process)
            yield {
                "url": f"http://127.0.0.1:{port}",
                "env": {
                    "AWS_ACCESS_KEY_ID": added["access_key_id"],
                    "AWS_SECRET_ACCESS_KEY": added["secret_access_key"],
                    "AWS_CONFIG_FILE": os.devnull,
                    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                    "NO_PROXY": "127.0.0.1",
                },
            }
        finally:
            process.terminate()
            process.wait(BOUND)
    place.succeed("access-keys", "delete", added["access_key_id"])


def wait_for(url, process):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + BOUND
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            opener.open(url, timeout=10)
            return
        time.sleep(0.05)
    raise AssertionError("it does not serve")


@pytest.fixture
def secrets(tmp_path):
    """A directory with the secrets of every provider."""
    directory = tmp_path / "provider-secrets"
    directory.mkdir()
    for name, secret in SECRETS.items():
        for prefix, begins in (("PORTICO_SECRET_OAUTH2_", "oauth2-"), ("PORTICO_SECRET_API_KEY_", "api-key-")):
            if name.startswith(prefix):
                (directory / (begins + name.removeprefix(prefix).lower())).write_text(secret + "\n")
    return directory


def moved(place):
    """What can be moved of a server's export: without what AWS's documents have no place for."""
    exported = json.loads(place.run("export", "--json").out)
    return {name: [bare(entry) for entry in exported.get(name, [])] for name in MOVED}


def bare(entry):
    kept = {name: value for name, value in entry.items() if name not in {"x-portico", "secret", "secretFile"}}
    if "targets" in kept:
        kept["targets"] = [bare(target) for target in kept["targets"]]
    return kept


def holdable(document):
    """What of ``moved`` AWS's documents can hold: no plain http, and a role."""
    kept = json.loads(json.dumps(document))
    kept["oauth2CredentialProviders"] = [p for p in kept["oauth2CredentialProviders"] if p["name"] != "internal"]
    for gateway in kept["gateways"]:
        gateway["targets"] = [target for target in gateway.get("targets", []) if target["name"] != "inside"]
        if not gateway["targets"]:
            del gateway["targets"]
    return kept


def opened(place):
    async def read():
        database = await Database.open(load_settings(place.config, environ={}).database)
        try:
            async with database.read() as conn:
                return await credential_providers.list_all(conn), await gateways.list_all(conn)
        finally:
            await database.aclose()

    providers, found = asyncio.run(read())
    keyring = read_keyring(place.keyring)
    secrets = {
        (row.kind, row.name): {
            secret.reveal()
            for secret in open_secrets(keyring, row.sealed, account=row.account, kind=row.kind, name=row.name).values()
        }
        for row in providers
    }
    return secrets, found


ROLE = "arn:aws:iam::123456789012:role/portico"


@pytest.fixture
def source(one):
    """A server that holds everything, each gateway with a role."""
    document = json.loads(json.dumps(EVERYTHING))
    for gateway in document["gateways"]:
        gateway["roleArn"] = ROLE
    one.succeed("apply", declare(one, document))
    return one


def test_everything_that_agentcore_can_hold_goes_to_another_server_and_back_to_a_third(source, make, secrets):
    two, three = make("two"), make("three")
    with serving(two) as other:
        where = ("--endpoint-url", other["url"], "--region", "us-east-1")
        with_secrets = ("--secret-files", secrets)
        rehearsed = source.run("export", "--to-aws", *where, "--dry-run", **other["env"])
        assert rehearsed.code == 0, rehearsed
        assert moved(two) == {name: [] for name in MOVED}
        done = source.run("export", "--to-aws", *where, *with_secrets, **other["env"])
        assert done.code == 0, done
        assert done.out == rehearsed.out
        assert set(done.out.splitlines()) == {
            "+ OAuth2 credential provider custom",
            "+ OAuth2 credential provider entra",
            "+ API key credential provider custom",
            "+ API key credential provider weather",
            "+ workload identity agent",
            "+ workload identity plain",
            "+ gateway Tools",
            "+ gateway open",
            "+ target Tools/calc",
            "+ target Tools/weather",
        }
        assert moved(two) == holdable(moved(source))
        left = done.err.splitlines()
        for line in (
            "portico: issuer main: left out: the AgentCore API has no such thing",
            "portico: access key PORTICO0000000000009: left out: the AgentCore API has no such thing",
            "portico: gateway Tools: without x-portico (pageSize): AWS's documents have no place for it",
            "portico: target Tools/inside: left out: targetConfiguration.mcp.mcpServer.endpoint: must match https://.*",
        ):
            assert line in left
        assert any(line.startswith("portico: OAuth2 credential provider internal: left out: ") for line in left)

        again = source.run("export", "--to-aws", *where, **other["env"])
        assert again.code == 0, again
        assert {line[0] for line in again.out.splitlines()} == {"="}

        taken = three.run("import", "--from-aws", *where, *with_secrets, **other["env"])
        assert (taken.code, taken.err) == (0, ""), taken
        assert moved(three) == moved(two)
        repeated = three.run("import", "--from-aws", *where, **other["env"])
        assert repeated.out == "Everything is here already; nothing was changed.\n"
    there, here = opened(two)[0], opened(three)[0]
    assert there == here
    assert there["oauth2", "custom"] == {"a secret of custom"}
    assert there["api_key", "custom"] == {"a key from a file"}
    assert {row.managed_by for row in opened(three)[1]} == {""}
    by = three.json("audit", "changes", "--operation", "CreateGateway")
    assert {(change["kind"], change["caller"]) for change in by} == {("command", "portico import")}


def test_changes_are_sent_and_taken_over_by_name(source, make, secrets):
    two, three = make("two"), make("three")
    with serving(two) as other:
        where = ("--endpoint-url", other["url"], "--region", "us-east-1", "--secret-files", secrets)
        assert source.run("export", "--to-aws", *where, **other["env"]).code == 0
        assert three.run("import", "--from-aws", *where, **other["env"]).code == 0
        document = json.loads(json.dumps(EVERYTHING))
        tools, second = document["gateways"]
        tools |= {"roleArn": ROLE, "description": "Another", "tags": {"cost": "1"}}
        second["roleArn"] = ROLE
        tools["targets"][0]["description"] = "It calculates better."
        document["workloadIdentities"][0]["allowedResourceOauth2ReturnUrls"] = ["https://app.example/other"]
        custom = document["oauth2CredentialProviders"][0]["oauth2ProviderConfigInput"]["customOauth2ProviderConfig"]
        custom["clientId"] = "another"
        source.succeed("apply", declare(source, document))
        sent = source.run("export", "--to-aws", *where, **other["env"])
        assert sent.code == 0, sent
        assert {line for line in sent.out.splitlines() if line[0] != "="} == {
            "~ OAuth2 credential provider custom",
            "~ workload identity agent",
            "~ gateway Tools",
            "~ target Tools/calc",
        }
        assert moved(two) == holdable(moved(source))
        taken = three.run("import", "--from-aws", *where, "--dry-run", **other["env"])
        assert "~ gateway Tools\n    description: 2025-11-25 -> Another\n" in taken.out
        assert moved(three) != moved(two)
        done = three.run("import", "--from-aws", *where, **other["env"])
        unknown = "    secret: ********, another one\n"  # it is not asked for before it is needed
        assert done.out == taken.out.replace(unknown, "")
        assert moved(three) == moved(two)


def test_secrets_are_never_made_up(source, make):
    two, three = make("two"), make("three")
    with serving(two) as other:
        where = ("--endpoint-url", other["url"], "--region", "us-east-1")
        done = source.run("export", "--to-aws", *where, **other["env"])
        assert (done.code, done.out) == (1, "")
        assert (
            "portico: OAuth2 credential provider custom: its secret is missing; "
            "put it into a file oauth2-custom in the directory of --secret-files\n"
        ) in done.err
        assert len(done.err.splitlines()) == 4
        assert moved(two) == {name: [] for name in MOVED}
        two.succeed("apply", declare(two, {"apiKeyCredentialProviders": [{"name": "k", "apiKey": "the key"}]}))
        done = three.run("import", "--from-aws", *where, **other["env"])
        assert (done.code, done.out) == (1, "")
        assert "API key credential provider k: its secret is missing" in done.err
        assert moved(three) == {name: [] for name in MOVED}


def test_what_the_other_side_refuses_is_named_and_the_rest_goes_on(source, make, secrets):
    two = make("two")
    held = {"name": "open", "protocolType": "MCP", "authorizerType": "AWS_IAM"}
    two.succeed("apply", declare(two, {"gateways": [held]}, "theirs.yaml"))
    with serving(two) as other:
        where = ("--endpoint-url", other["url"], "--region", "us-east-1", "--secret-files", secrets)
        done = source.run("export", "--to-aws", *where, **other["env"])
        assert done.code == 1
        assert "update_gateway of gateway open was refused: ConflictException:" in done.err
        assert "+ gateway Tools\n" in done.out


def test_without_a_role_a_gateway_stays_unless_one_is_given(one, make, secrets):
    two = make("two")
    with serving(two) as other:
        where = ("--endpoint-url", other["url"], "--region", "us-east-1", "--secret-files", secrets)
        done = one.run("export", "--to-aws", *where, "--dry-run", "--json", **other["env"])
        left = json.loads(done.out)["left_out"]
        assert {
            "kind": "gateway",
            "name": "open",
            "member": "",
            "why": "AWS wants a roleArn; give one with --role-arn",
        } in left
        done = one.run("export", "--to-aws", *where, "--dry-run", "--role-arn", ROLE, **other["env"])
        assert "+ gateway open\n" in done.out


def test_targets_at_private_addresses_come_only_where_that_is_allowed(make, secrets):
    two, three = make("two"), make("three")
    inside = json.loads(json.dumps(EVERYTHING["gateways"][0]["targets"][1]))
    gateway = {"name": "t", "protocolType": "MCP", "authorizerType": "NONE", "targets": [inside]}
    two.succeed("apply", declare(two, {"gateways": [gateway]}))
    with serving(two) as other:
        where = ("--endpoint-url", other["url"], "--region", "us-east-1")
        done = three.run("import", "--from-aws", *where, **other["env"])
        assert done.code == 0, done
        assert "portico: target t/inside: left out: targetConfiguration.mcp.mcpServer.endpoint: " in done.err
        three.write({"public_url": "https://portico.example", "api_private_addresses": True})
        done = three.run("import", "--from-aws", *where, **other["env"])
        assert done.out == "+ target t/inside\n1 created.\n"
        [found] = json.loads(three.run("export", "--json").out)["gateways"]
        assert found["targets"][0]["x-portico"] == {"allowPrivateAddresses": True}


def test_an_endpoint_that_cannot_be_used_is_one_line(source):
    env = {
        "AWS_ACCESS_KEY_ID": "a" * 16,
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_MAX_ATTEMPTS": "1",
        "NO_PROXY": "127.0.0.1",
    }
    line = source.fail(
        "export", "--to-aws", "--endpoint-url", f"http://127.0.0.1:{free_port()}", "--region", "us-east-1", **env
    )
    assert line.startswith("list_gateways of everything failed: Could not connect")
    assert "not complete" in source.fail(
        "import", "--from-aws", "--endpoint-url", "nowhere", "--region", "us-east-1", **env
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "--dry-run"],
        ["export", "--region", "us-east-1"],
        ["export", "--to-aws", "--out", "x"],
        ["export", "--to-aws", "--with-hashes"],
        ["import"],
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(bare, arguments):
    assert bare.run(*arguments).code == 2


# What only AWS has


def test_a_gateway_that_something_unbuilt_protects_stays_and_what_protects_nobody_is_dropped():
    output = {
        "name": "g",
        "gatewayId": "g-0123456789",
        "status": "READY",
        "protocolType": "MCP",
        "protocolConfiguration": {"mcp": {"searchType": "SEMANTIC"}},
        "authorizerType": "NONE",
        "kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/0",
    }
    document = gateway_document(output, {"aws:cloudformation:stack-name": "s", "team": "t"})
    kept, dropped, refused = built_here(document)
    assert kept == {"name": "g", "protocolType": "MCP", "authorizerType": "NONE", "tags": {"team": "t"}}
    assert sorted(dropped) == ["kmsKeyArn", "protocolConfiguration.mcp.searchType"]
    assert refused == []
    for member in ("policyEngineConfiguration", "interceptorConfigurations", "wafConfiguration", "webAclArn"):
        _, _, refused = built_here(gateway_document(output | {member: {"any": "thing"}}, {}))
        assert [fault.path for fault in refused] == [member]


@pytest.mark.parametrize(
    ("vendor", "member", "answered", "config"),
    [
        (
            "MicrosoftOauth2",
            "microsoftOauth2ProviderConfig",
            {"discoveryUrl": "https://login.microsoftonline.com/contoso/v2.0/.well-known/openid-configuration"},
            {"clientId": "c", "tenantId": "contoso"},
        ),
        (
            "MicrosoftOauth2",
            "microsoftOauth2ProviderConfig",
            {"authorizationServerMetadata": {"issuer": "https://login.microsoftonline.com/common/v2.0"}},
            {"clientId": "c"},
        ),
        (
            "GithubOauth2",
            "githubOauth2ProviderConfig",
            {"discoveryUrl": "https://github.com/login/oauth/.well-known/openid-configuration"},
            {"clientId": "c"},
        ),
        (
            "OktaOauth2",
            "includedOauth2ProviderConfig",
            {"authorizationServerMetadata": {"issuer": "https://o.example", "tokenEndpoint": "https://o.example/t"}},
            {"clientId": "c", "issuer": "https://o.example", "tokenEndpoint": "https://o.example/t"},
        ),
    ],
)
def test_a_providers_answer_becomes_the_request_that_made_it(vendor, member, answered, config):
    output = {
        "name": "p",
        "credentialProviderVendor": vendor,
        "oauth2ProviderConfigOutput": {member: {"clientId": "c", "oauthDiscovery": answered}},
    }
    document = oauth_document(output, {})
    assert document == {
        "name": "p",
        "credentialProviderVendor": vendor,
        "oauth2ProviderConfigInput": {member: config},
    }


def test_a_vendor_that_is_not_known_here_has_no_document():
    output = {"name": "p", "credentialProviderVendor": "NewOauth2", "oauth2ProviderConfigOutput": {}}
    assert oauth_document(output, {}) is None


# An endpoint that is not what it says


class Endpoint:
    """Answers like a client of boto3's, with what a test says; tags of nothing."""

    def __init__(self, **answers):
        self.answers = answers

    def __getattr__(self, operation):
        def call(**_request):
            if operation == "list_tags_for_resource":
                raise ClientError({"Error": {"Code": "ValidationException", "Message": "no"}}, operation)
            answer = self.answers.get(operation, {"items": [], "credentialProviders": [], "workloadIdentities": []})
            if isinstance(answer, list):
                return answer.pop(0)
            return answer

        return call


def imported(**answers):
    bounds = Bounds(
        ground=Ground(public_url="https://portico.example"),
        egress=Egress(),
        quotas=DEFAULT_QUOTAS,
        place=Place(account="000000000000", region="us-east-1"),
        new_extension={},
    )
    taken = Import(bounds=bounds, stored=())
    taken.read(AgentCore(Endpoint(**answers)).read())
    return taken


def test_what_an_endpoint_says_is_held_against_the_model():
    arn = "arn:aws:acps:us-east-1:123456789012:token-vault/default/apikeycredentialprovider/x"
    evil = {"name": "../../x", "credentialProviderArn": arn}
    taken = imported(
        list_api_key_credential_providers={"credentialProviders": [evil]},
        list_workload_identities={"workloadIdentities": [{"name": "a/b", "workloadIdentityArn": arn}]},
        get_workload_identity={"name": "a/b", "workloadIdentityArn": arn},
    )
    assert [(entry.kind, entry.name) for entry in taken.left_out] == [
        ("API key credential provider", "../../x"),
        ("workload identity", "a/b"),
    ]
    assert taken.wanted == []


def test_an_endpoint_that_is_no_agentcore_is_said_to_be_none():
    with pytest.raises(UpstreamError, match="no AgentCore API"):
        imported(list_gateways={"Items": []})


def test_a_gateway_is_waited_for_until_it_is_ready_or_failed():
    clock, slept = [0.0], []

    def sleep(seconds):
        slept.append(seconds)
        clock[0] += seconds

    def settle(*statuses):
        answers = [{"name": "g", "gatewayId": "g-1", "status": status} for status in statuses]
        endpoint = AgentCore(Endpoint(get_gateway=answers[1:]), clock=lambda: clock[0], sleep=sleep)
        endpoint.settled_gateway(answers[0])

    settle("READY")
    assert slept == []
    settle("CREATING", "CREATING", "READY")
    assert len(slept) == 2
    with pytest.raises(UpstreamError, match="FAILED"):
        settle("UPDATING", "FAILED")
    with pytest.raises(UpstreamError, match="not ready"):
        settle(*["CREATING"] * 1000)
