import pytest

from control.conftest import PUBLIC_URL, declare
from control.house import SECRET, gateway, issuer, target
from portico.control.declared import read_declarations
from portico.control.secrets import secret_hash
from portico.model.secret import Secret
from portico.net.egress import Egress


def faults_of(document, files=None):
    def read_file(name):
        if name not in (files or {}):
            raise FileNotFoundError(2, "No such file or directory")
        return files[name]

    _, faults = read_declarations(document, public_url=PUBLIC_URL, egress=Egress(), read_file=read_file)
    return {fault.path: fault.message for fault in faults}


def test_every_fault_of_issuers_gateways_and_targets_is_in_one_report():
    document = {
        "issuers": [issuer(name="Main!", accessTokenSeconds=1, users=[{"name": "ada"}], clients=[{"scopes": []}])],
        "gateways": [
            gateway(targets=[target(), target(name="calc", targetConfiguration={"mcp": {"lambda": {}}})]),
            "not an object",
        ],
    }
    assert set(faults_of(document)) == {
        "issuers[0].name",
        "issuers[0].accessTokenSeconds",
        "issuers[0].users[0]",
        "issuers[0].clients[0].name",
        "issuers[0].clients[0]",
        "gateways[0].authorizerConfiguration.customJWTAuthorizer.discoveryUrl",
        "gateways[0].targets[1].targetConfiguration.mcp.lambda",
        "gateways[0].targets[1].name",
        "gateways[1]",
    }


def test_names_are_unique_among_issuers_users_clients_gateways_and_targets():
    robot = {"name": "robot", "secret": SECRET, "scopes": ["mcp/invoke"]}
    ada = {"name": "ada", "password": "correct horse"}
    document = {
        "issuers": [issuer(users=[ada, ada], clients=[robot, robot]), issuer()],
        "gateways": [gateway(targets=[target(), target()]), gateway()],
    }
    assert set(faults_of(document)) == {
        "issuers[0].users[1].name",
        "issuers[0].clients[1].clientId",
        "issuers[1].name",
        "gateways[0].targets[1].name",
        "gateways[1].name",
    }


@pytest.mark.parametrize(
    ("user", "path"),
    [
        ({"name": "ada"}, ""),
        ({"name": "ada", "password": "correct horse", "passwordFile": "p"}, ""),
        ({"name": "ada", "password": "short"}, ".password"),
        ({"name": "ada", "passwordFile": "missing"}, ".passwordFile"),
        ({"name": "ada", "passwordHash": "5f4dcc3b5aa765d61d8327deb882cf99"}, ".passwordHash"),
        ({"name": " ada", "password": "correct horse"}, ".name"),
        ({"name": "a\x00da", "password": "correct horse"}, ".name"),
        ({"name": 5, "password": "correct horse"}, ".name"),
        ({"name": "ada", "password": "correct horse", "admin": "yes"}, ".admin"),
        ({"name": "ada", "password": 12345678}, ".password"),
    ],
)
def test_a_user_has_a_typeable_name_and_exactly_one_way_to_a_password(user, path):
    found = faults_of({"issuers": [issuer(users=[user])]})
    assert f"issuers[0].users[0]{path}" in found


@pytest.mark.case("T13")
def test_a_machines_secret_must_be_generated_and_is_kept_as_a_hash():
    found = faults_of({"issuers": [issuer(clients=[{"name": "r", "secret": "changeme", "scopes": ["mcp/invoke"]}])]})
    assert set(found) == {"issuers[0].clients[0].secret"}
    declared = declare({"issuers": [issuer()]})
    row = declared.issuers[0].clients[0].row
    assert row.secret_hash == secret_hash(Secret(SECRET))
    assert SECRET not in repr(declared)


def test_secrets_may_stand_in_files_beside_the_configuration():
    clients = [{"name": "robot", "secretFile": "robot.secret", "scopes": ["mcp/invoke"]}]
    users = [{"name": "ada", "passwordFile": "ada.password"}]
    declared = declare(
        {"issuers": [issuer(clients=clients, users=users)]},
        read_file={"robot.secret": f"{SECRET}\n", "ada.password": "correct horse\n"}.__getitem__,
    )
    assert declared.issuers[0].clients[0].row.secret_hash == secret_hash(Secret(SECRET))
    assert declared.issuers[0].users[0].password == Secret("correct horse")


@pytest.mark.parametrize(
    ("client", "path"),
    [
        ({"name": "r", "secret": SECRET}, ""),  # no scope
        ({"name": "r", "secret": SECRET, "scopes": ["a b"]}, ""),
        ({"name": "r", "secret": SECRET, "scopes": "mcp/invoke"}, ".scopes"),
        ({"name": "r", "scopes": ["mcp/invoke"]}, ""),  # no secret
        ({"name": "r", "secretHash": "abc", "scopes": ["mcp/invoke"]}, ".secretHash"),
        ({"name": "a client with spaces", "secret": SECRET, "scopes": ["mcp/invoke"]}, ""),
        ({"clientId": "app", "redirectUris": ["javascript:alert(1)"]}, ""),
        ({"clientId": "app", "redirectUris": []}, ""),
        ({"clientId": "app", "redirectUris": ["http://127.0.0.1/cb"], "secret": "changeme"}, ".secret"),
        ({"clientId": "app", "redirectUris": ["http://127.0.0.1/cb"], "secret": SECRET, "secretHash": "a" * 64}, ""),
        ({"clientId": "app", "redirectUris": ["javascript:alert(1)"], "secret": SECRET}, ""),
        ({"clientId": "app", "redirectUris": ["http://127.0.0.1/cb"], "pkceRequired": False}, ""),  # public
        ({"clientId": "app", "redirectUris": [], "secret": SECRET, "pkceRequired": "no"}, ".pkceRequired"),
        ({"name": "r", "secret": SECRET, "scopes": ["mcp/invoke"], "pkceRequired": False}, ".pkceRequired"),
        ({"clientId": "app", "redirectUris": [], "secret": SECRET, "defaultResource": "gateway"}, ""),
        ({"redirectUris": ["http://127.0.0.1/cb"]}, ".clientId"),
    ],
)
def test_a_client_is_a_machine_or_has_redirect_uris_and_maybe_a_secret(client, path):
    found = faults_of({"issuers": [issuer(clients=[client])]})
    assert f"issuers[0].clients[0]{path}" in found


def test_the_parts_must_be_lists_of_objects():
    assert set(faults_of({"issuers": {}, "gateways": "none"})) == {"issuers", "gateways"}
    assert set(faults_of({"issuers": [issuer(users={})], "gateways": [gateway(targets=5)]})) >= {
        "issuers[0].users",
        "gateways[0].targets",
    }


def test_a_target_has_no_targets_of_its_own():
    found = faults_of({"issuers": [issuer()], "gateways": [gateway(targets=[target(targets=[])])]})
    assert set(found) == {"gateways[0].targets[0].targets"}


CONNECTOR = {
    "name": "company",
    "type": "oidc",
    "discoveryUrl": "https://idp.example/.well-known/openid-configuration",
    "clientId": "portico",
}


def test_a_connectors_secret_may_stand_in_a_file_beside_the_configuration():
    document = {"issuers": [issuer(connectors=[CONNECTOR | {"clientSecretFile": "company.secret"}])]}
    declared = declare(document, read_file={"company.secret": "from the file\n"}.__getitem__)
    [connector] = declared.issuers[0].document["connectors"]
    assert connector == CONNECTOR | {"clientSecret": "from the file"}
    assert "from the file" not in repr(declared)


@pytest.mark.parametrize(
    ("connector", "path"),
    [
        ({"clientSecret": "a", "clientSecretFile": "b"}, ""),
        ({"clientSecretFile": "missing"}, ".clientSecretFile"),
        ({"clientSecretFile": ""}, ".clientSecretFile"),
        ({"clientSecretFile": 5}, ".clientSecretFile"),
    ],
)
def test_a_connectors_secret_is_given_in_one_way_that_can_be_read(connector, path):
    found = faults_of({"issuers": [issuer(connectors=[CONNECTOR | connector])]})
    assert set(found) == {f"issuers[0].connectors[0]{path}"}


@pytest.mark.parametrize(
    "connectors", ["company", {"name": "company"}, ["company"], [5], [{}], [{"clientSecret": "a"}]]
)
def test_what_is_no_connector_is_a_fault_and_nothing_worse(connectors):
    found = faults_of({"issuers": [issuer(connectors=connectors)]})
    assert [path for path in found if path.startswith("issuers[0]")]
