import pytest

from cli.everything import ARN
from portico.model.documents import dump_eras
from portico.model.target import EraTools, Tool
from portico.storage import gateways, targets
from portico.storage.gateways import GatewayRow

ORIGIN = "https://portico.example"
DISCOVERY = f"{ORIGIN}/i/main/.well-known/openid-configuration"
SECRET = "0123456789abcdef-is-the-key"
GATEWAY_MEMBERS = {
    *("id", "name", "description", "mcp_url", "status", "status_reasons", "authorizer_type", "discovery_url", "issuer"),
    *("targets_ready", "targets_total", "managed_by", "created_at", "created", "updated_at", "updated"),
}
TARGET_MEMBERS = {
    *("id", "name", "mcp_url", "kind", "endpoint", "status", "status_reasons", "listing", "tools"),
    *("synchronized_at", "synchronized", "managed_by"),
}


def jwt(discovery_url=DISCOVERY, **rules):
    authorizer = {"customJWTAuthorizer": {"discoveryUrl": discovery_url, **rules}}
    return {"authorizerType": "CUSTOM_JWT", "authorizerConfiguration": authorizer}


def gateway(name, *its_targets, **members):
    return {"name": name, "protocolType": "MCP", **(members or jwt()), "targets": list(its_targets)}


def target(name, endpoint=None, **server):
    server = {"endpoint": endpoint or f"https://{name}.example/mcp", **server}
    return {"name": name, "targetConfiguration": {"mcp": {"mcpServer": server}}}


STATED = '{"tools": [{"name": "add", "inputSchema": {"type": "object"}}]}'
TARGETS = (
    target("broken"),
    target("empty"),
    target("keyed", f"https://keyed.example/mcp?api_key={SECRET}&tenant=acme&{SECRET}"),
    target("live", listingMode="DYNAMIC"),
    target("new"),
    target("stale"),
    target("stated", mcpToolSchema={"inlinePayload": STATED}),
    target("tickets"),
)


def offered(era, version, *names):
    tools = tuple(Tool(name=name, definition=f'{{"name": "{name}"}}'.encode()) for name in names)
    return EraTools(era=era, version=version, tools=tools)


#: What synchronizations found: status, reasons, tools, when.
BOTH = (offered("modern", "2026-07-28", "search", "close"), offered("legacy", "2025-11-25", "search", "close"))
FOUND = {
    "broken": (
        "FAILED",
        ("protocol 2026-07-28: The target cannot be\nreached.\x1b[2J", "It is tried again."),
        None,
        None,
    ),
    "empty": ("READY", (), (offered("legacy", "2025-06-18"),), 1_700_000_000),
    "stale": ("SYNCHRONIZE_UNSUCCESSFUL", ("The target answered 500.",), BOTH, 1_700_000_000),
    "tickets": ("READY", (), BOTH, 1_700_000_000),
}


async def synchronized(conn):
    for row in await targets.list_all(conn):
        if row.name in FOUND:
            status, reasons, eras, at = FOUND[row.name]
            eras = None if eras is None else dump_eras(eras)
            await targets.set_status(conn, row.id, status, reasons, eras=eras, synchronized_at=at)


@pytest.fixture
def place(bare, database_url):
    """Gateways on each database, as they are after targets were synchronized. No server runs."""
    bare.write(
        {
            "public_url": ORIGIN,
            "database": database_url,
            "issuers": [{"name": "main"}],
            "gateways": [
                gateway("Tools", *TARGETS) | {"description": "Tools of all kinds"},
                gateway(
                    "foreign", **jwt("https://idp.example/.well-known/openid-configuration", allowedClients=["one"])
                ),
                gateway("open", authorizerType="NONE"),
                gateway("signed", target("tickets"), authorizerType="AWS_IAM"),
            ],
        }
    )
    bare.succeed("keyring", "init", bare.keyring)
    bare.apply()
    bare.write_rows(synchronized)
    return bare


@pytest.fixture
def tools(place):
    return place.json("gateways", "show", "Tools")


def shown(place, name):
    """Return the blocks that a person sees, each as lists of values by label, and what is advised below them."""
    *blocks, advice = place.succeed("gateways", "show", name).split("\n\n")
    return [by_label(block) for block in blocks], advice


def by_label(block):
    told, label = {}, ""
    for line in block.splitlines():
        label = line[:13].strip() or label
        told.setdefault(label, []).append(line[15:])
    return told


def test_the_list_has_a_line_for_each_gateway_with_the_url_to_connect_to(place):
    header, *lines = place.succeed("gateways", "list").splitlines()
    assert header.split() == ["NAME", "ID", "MCP", "URL", "STATUS", "TARGETS", "READY"]
    told = {name: rest for name, *rest in map(str.split, lines)}
    ids = {name: rest[0] for name, rest in told.items()}
    assert told == {
        "Tools": [ids["Tools"], f"{ORIGIN}/g/{ids['Tools']}/mcp", "READY", "4/8"],
        "foreign": [ids["foreign"], f"{ORIGIN}/g/{ids['foreign']}/mcp", "READY", "0/0"],
        "open": [ids["open"], f"{ORIGIN}/g/{ids['open']}/mcp", "READY", "0/0"],
        "signed": [ids["signed"], f"{ORIGIN}/g/{ids['signed']}/mcp", "READY", "1/1"],
    }
    assert ids["Tools"].startswith("tools-")


def test_the_list_for_a_program_has_every_gateway_with_all_its_members(place):
    listed = {entry["name"]: entry for entry in place.json("gateways", "list")}
    assert all(entry.keys() == GATEWAY_MEMBERS for entry in listed.values())
    wanted = {
        "description": "Tools of all kinds",
        "authorizer_type": "CUSTOM_JWT",
        "discovery_url": DISCOVERY,
        "issuer": "main",
        "targets_ready": 4,
        "targets_total": 8,
        "managed_by": "portico.yaml",
    }
    assert listed["Tools"].items() >= wanted.items()
    assert (listed["foreign"]["issuer"], listed["open"]["discovery_url"]) == ("", "")


def test_a_gateway_is_shown_by_its_name_and_by_its_id(place, tools):
    assert tools.keys() == GATEWAY_MEMBERS | {"targets"}
    assert all(entry.keys() == TARGET_MEMBERS for entry in tools["targets"])
    assert place.json("gateways", "show", tools["id"]) == tools
    [listed] = [entry for entry in place.json("gateways", "list") if entry["name"] == "Tools"]
    assert {name: value for name, value in tools.items() if name != "targets"} == listed


def test_each_target_says_what_is_ready_and_why_the_rest_is_not(tools):
    told = {entry["name"]: entry for entry in tools["targets"]}
    assert {name: (entry["status"], entry["listing"], entry["tools"]) for name, entry in told.items()} == {
        "broken": ("FAILED", "read", None),
        "empty": ("READY", "read", 0),
        "keyed": ("CREATING", "read", None),
        "live": ("READY", "live", None),
        "new": ("CREATING", "read", None),
        "stale": ("SYNCHRONIZE_UNSUCCESSFUL", "read", 2),
        "stated": ("READY", "stated", 1),
        "tickets": ("READY", "read", 2),
    }
    assert told["broken"]["status_reasons"] == list(FOUND["broken"][1])
    assert told["tickets"]["mcp_url"] == f"{tools['mcp_url']}/tickets"
    assert (told["tickets"]["kind"], told["tickets"]["endpoint"]) == ("mcp_server", "https://tickets.example/mcp")
    assert (told["tickets"]["synchronized_at"], told["tickets"]["synchronized"]) == (
        1_700_000_000,
        "2023-11-14T22:13:20Z",
    )
    assert (told["new"]["synchronized_at"], told["new"]["synchronized"]) == (None, "")


def test_a_person_reads_the_same_and_what_to_type_next(place, tools):
    (head, *its_targets), advice = shown(place, "Tools")
    assert head == {
        "Gateway": ["Tools"],
        "Id": [tools["id"]],
        "MCP URL": [tools["mcp_url"]],
        "Description": ["Tools of all kinds"],
        "Status": ["READY"],
        "Authorizer": ["CUSTOM_JWT: whoever has a token of its issuer"],
        "Issuer": ["main, of this server"],
        "Discovery URL": [DISCOVERY],
        "Managed by": ["portico.yaml"],
        "Targets ready": ["4/8"],
    }
    told = {entry["Target"][0]: entry for entry in its_targets}
    assert told["broken"] == {
        "Target": ["broken"],
        "MCP URL": [f"{tools['mcp_url']}/broken"],
        "MCP server": ["https://broken.example/mcp"],
        "Status": [
            "FAILED",
            "protocol 2026-07-28: The target cannot be reached.\N{REPLACEMENT CHARACTER}[2J",
            "It is tried again.",
        ],
        "Tools": ["none were read yet"],
        "Synchronized": ["not yet"],
    }
    assert {name: entry["Tools"][0] for name, entry in told.items()} == {
        "broken": "none were read yet",
        "empty": "0",
        "keyed": "none were read yet",
        "live": "asked for whenever a client asks",
        "new": "none were read yet",
        "stale": "2, as they were last read",
        "stated": "1, as its document states",
        "tickets": "2",
    }
    assert told["tickets"]["Synchronized"] == ["2023-11-14T22:13:20Z"]
    assert "Synchronized" not in told["live"] | told["stated"]
    assert f"claude mcp add --transport http Tools {tools['mcp_url']}" in advice.splitlines()[1]


def test_of_an_endpoint_that_takes_its_key_in_the_query_only_names_are_shown(place, tools):
    [keyed] = [entry["endpoint"] for entry in tools["targets"] if entry["name"] == "keyed"]
    assert keyed == "https://keyed.example/mcp?api_key=********&tenant=********&********"
    everything = place.succeed("gateways", "show", "Tools") + place.succeed("gateways", "show", "Tools", "--json")
    assert SECRET not in everything


def test_a_gateway_of_a_foreign_issuer_names_its_discovery_url(place):
    [head], _ = shown(place, "foreign")
    assert head["Discovery URL"] == ["https://idp.example/.well-known/openid-configuration"]
    assert "Issuer" not in head


def test_what_to_type_next_is_what_the_authorizer_takes(place):
    def advised(name):
        return shown(place, name)[1].splitlines()[-1].strip()

    signed, unprotected = (place.json("gateways", "show", name) for name in ("signed", "open"))
    assert advised("signed") == f"portico access-keys add NAME --role invoker --gateway {signed['id']}"
    assert advised("open") == f"claude mcp add --transport http open {unprotected['mcp_url']}"
    [head], _ = shown(place, "open")
    assert head["Authorizer"] == ["NONE: anyone, without a login"]


def test_a_name_that_nobody_has_says_where_the_names_are(place):
    told = "There is no gateway 'tools'; portico gateways list shows those that there are."
    assert place.fail("gateways", "show", "tools") == told


def gateway_row(place, **members):
    document = {"name": "Tools", "authorizerType": "NONE"}
    row = GatewayRow(document=document, extension={}, status="READY", created_at=1, updated_at=1, **members)
    place.write_rows(lambda conn: gateways.add(conn, row))


def test_a_name_that_several_gateways_have_asks_for_an_id(place, tools):
    gateway_row(place, id="tools-of-others", name="Tools", account="210987654321")
    told = place.fail("gateways", "show", "Tools")
    assert told.startswith("Several gateways are named 'Tools'; give the id of the one that is meant: ")
    assert {*told.removesuffix(".").rpartition(": ")[2].split(", ")} == {tools["id"], "tools-of-others"}
    assert place.json("gateways", "show", "tools-of-others")["authorizer_type"] == "NONE"
    assert place.json("gateways", "show", tools["id"]) == tools


def test_an_id_comes_before_a_name_that_looks_like_it(place, tools):
    gateway_row(place, id="pretender-0123456789", name=tools["id"])
    assert place.json("gateways", "show", tools["id"]) == tools
    assert place.json("gateways", "show", "pretender-0123456789")["name"] == tools["id"]


def test_nothing_is_listed_before_the_first_gateway(bare, database_url):
    bare.write({"database": database_url})
    bare.succeed("keyring", "init", bare.keyring)
    bare.succeed("migrate")
    assert bare.succeed("gateways", "list").startswith("No gateways. Declare one")
    assert bare.json("gateways", "list") == []


def test_a_target_with_a_credential_tells_nothing_of_it(one):
    """``one`` holds every kind of resource, secrets of providers among them."""
    told = one.succeed("gateways", "show", "Tools", "--json")
    assert "weather" in told
    assert ARN not in told
    assert "X-Key" not in told
