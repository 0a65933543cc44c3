import hashlib

import pytest
from sqlalchemy import select

from portico.storage.schema import clients


def stored_hash(place, client_id):
    async def read(conn):
        return (await conn.execute(select(clients.c.secret_hash).where(clients.c.client_id == client_id))).scalar_one()

    return place.write_rows(read)


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def everything_listed(place):
    return place.succeed("clients", "list") + place.succeed("clients", "list", "--json")


def test_a_machine_secret_is_shown_once_and_never_listed(place):
    added = place.json("clients", "add", "agent", "--scope", "mcp/invoke", "--name", "Nightly")
    secret = added["client_secret"]
    assert stored_hash(place, "agent") == sha256(secret)
    listed = everything_listed(place)
    assert "Nightly" in listed
    for hidden in (secret, sha256(secret), place.machine_secret, sha256(place.machine_secret)):
        assert hidden not in listed


def test_a_machine_secret_is_the_last_line_for_a_person(place):
    done = place.run("clients", "add", "agent", "--scope", "mcp/invoke", "--scope", "mcp/read")
    told, once, secret = done.out.splitlines()
    assert told == "Added the machine client agent to the issuer main."
    assert "shown this once" in once
    assert stored_hash(place, "agent") == sha256(secret)
    [agent] = [client for client in place.json("clients", "list") if client["client_id"] == "agent"]
    assert agent["scopes"] == ["mcp/invoke", "mcp/read"]
    assert done.err == ""


def test_the_list_says_what_each_client_is(place):
    place.succeed("clients", "add", "web", "--redirect-uri", "https://app.example/callback")
    kinds = {client["client_id"]: (client["kind"], client["managed_by"]) for client in place.json("clients", "list")}
    assert kinds == {"robot": ("machine", "portico.yaml"), "web": ("public", "")}
    header = place.succeed("clients", "list").splitlines()[0]
    assert header.split() == ["ISSUER", "NAME", "KIND", "SCOPES", "STATE", "CREATED", "CLIENT", "ID"]


def test_a_client_that_people_log_in_with_has_no_secret(place):
    added = place.json(
        *("clients", "add", "web", "--redirect-uri", "https://app.example/callback"),
        *("--redirect-uri", "com.example.app:/callback"),
    )
    assert "client_secret" not in added
    assert added["redirect_uris"] == ["https://app.example/callback", "com.example.app:/callback"]
    assert stored_hash(place, "web") == ""


def test_a_new_secret_ends_the_old_one(place):
    first = place.json("clients", "add", "agent", "--scope", "mcp/invoke")["client_secret"]
    second = place.json("clients", "secret", "agent")
    assert second.keys() == {"client_id", "client_secret"}
    assert second["client_secret"] != first
    assert stored_hash(place, "agent") == sha256(second["client_secret"])
    third = place.succeed("clients", "secret", "agent").splitlines()[-1]
    assert stored_hash(place, "agent") == sha256(third)


def test_a_client_is_disabled_enabled_and_deleted(place):
    place.succeed("clients", "add", "agent", "--scope", "mcp/invoke")
    place.succeed("clients", "disable", "agent")
    states = {client["client_id"]: client["state"] for client in place.json("clients", "list")}
    assert states == {"robot": "active", "agent": "disabled"}
    place.succeed("clients", "enable", "agent")
    place.succeed("clients", "delete", "agent")
    assert [client["client_id"] for client in place.json("clients", "list")] == ["robot"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("add", "agent"), "at least one scope"),
        (("add", "agent", "--scope", "a b"), "scope"),
        (("add", "-agent", "--scope", "mcp/invoke"), "client id"),
        (("add", "web", "--redirect-uri", "http://app.example/callback"), "redirect URI"),
        (("add", "web", "--redirect-uri", "javascript:alert(1)"), "redirect URI"),
        (("add", "web", "--redirect-uri", "https://app.example/callback", "--resource", "not a URL"), "resource"),
        (("add", "agent", "--scope", "mcp/write"), "does not grant the scope mcp/write; it has: mcp/invoke, mcp/read"),
        (("add", "robot", "--scope", "mcp/invoke"), "robot"),
        (("secret", "robot"), "declared in portico.yaml"),
        (("delete", "robot"), "declared in portico.yaml"),
        (("secret", "nobody"), "no client 'nobody'"),
        (("disable", "nobody"), "no client 'nobody'"),
        (("enable", "nobody"), "no client 'nobody'"),
        (("delete", "nobody"), "no client 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_one_line(place, args, told):
    end = ("--",) if args[1].startswith("-") else ()
    assert told in place.fail("clients", args[0], *args[2:], *end, args[1])
    assert [client["client_id"] for client in place.json("clients", "list")] == ["robot"]


def test_a_public_client_has_no_secret_to_renew(place):
    place.succeed("clients", "add", "web", "--redirect-uri", "https://app.example/callback")
    assert "is public and has no secret" in place.fail("clients", "secret", "web")


# Hosted applications

COPILOT = ("clients", "add", "studio", "--for", "copilot-studio", "--without-pkce")
REDIRECT = "https://global.consent.azure-apim.net/redirect/cr938-5ftools"


def test_the_table_for_a_program_holds_everything_that_is_pasted(place):
    table = place.json(*COPILOT)
    issuer = table["issuer_url"]
    assert (table["kind"], table["client_id"], table["name"]) == ("confidential", "studio", "Microsoft Copilot Studio")
    assert stored_hash(place, "studio") == sha256(table["client_secret"])
    assert (table["authorize_url"], table["token_url"]) == (f"{issuer}/authorize", f"{issuer}/token")
    assert table["refresh_url"] == f"{issuer}/token"
    assert table["scopes"] == ["mcp/invoke", "mcp/read"]
    assert (table["redirect_uris"], table["pkce_required"]) == ([], False)
    assert "client_secret_post" in table["token_authentication"]


def test_the_table_for_a_person_names_the_fields_of_the_forms_and_what_is_left_to_do(place):
    told = place.succeed(*COPILOT)
    lines = dict(line.split("  ", 1) for line in told.splitlines() if "  " in line)
    fields = {name.strip(): value.strip() for name, value in lines.items()}
    assert fields["Client ID"] == "studio"
    assert stored_hash(place, "studio") == sha256(fields["Client secret"])
    assert fields["Authorization URL"].endswith("/i/main/authorize")
    assert fields["Token URL"] == fields["Refresh URL"] == fields["Authorization URL"].replace("authorize", "token")
    assert fields["Scopes"] == "mcp/invoke mcp/read"
    assert "not required" in fields["PKCE"]
    assert "portico clients redirect add studio URL" in told


def test_pkce_is_given_up_only_by_name(place):
    told = place.succeed("clients", "add", "studio", "--for", "copilot-studio")
    assert "S256, required" in told
    assert "--without-pkce" in told
    [studio] = [client for client in place.json("clients", "list") if client["client_id"] == "studio"]
    assert studio["pkce_required"] is True
    for args in (("--redirect-uri", "https://app.example/callback"), ("--for", "claude"), ("--scope", "mcp/invoke")):
        refused = place.run("clients", "add", "web", *args, "--without-pkce")
        assert refused.code == 2
        assert "confidential" in refused.err


def test_redirect_urls_are_added_and_removed_afterwards(place):
    place.succeed(*COPILOT)
    told = place.succeed("clients", "redirect", "add", "studio", REDIRECT)
    assert REDIRECT in told
    assert place.json("clients", "redirect", "add", "studio", "https://b.example/")["redirect_uris"] == [
        REDIRECT,
        "https://b.example/",
    ]
    assert place.json("clients", "redirect", "remove", "studio", REDIRECT)["redirect_uris"] == ["https://b.example/"]
    assert "(nowhere)" in place.succeed("clients", "redirect", "remove", "studio", "https://b.example/")
    assert "does not have" in place.fail("clients", "redirect", "remove", "studio", REDIRECT)
    assert "redirect URI" in place.fail("clients", "redirect", "add", "studio", "http://b.example/")
    assert "declared in portico.yaml" in place.fail("clients", "redirect", "add", "robot", REDIRECT)


def test_the_values_are_shown_again_without_the_secret(place):
    made = place.json(*COPILOT)
    shown = place.json("clients", "show", "studio")
    assert shown == {name: value for name, value in made.items() if name != "client_secret"}
    told = place.succeed("clients", "show", "studio")
    assert "shown once" in told
    assert made["client_secret"] not in told
    assert "no client 'nobody'" in place.fail("clients", "show", "nobody")


@pytest.mark.parametrize("application", ["claude", "vscode", "cursor", "chatgpt"])
@pytest.mark.parametrize("confidential", [True, False])
def test_known_applications_bring_their_redirect_urls_with_or_without_a_secret(place, application, confidential):
    flags = ("--confidential",) if confidential else ()
    table = place.json("clients", "add", "app", "--for", application, *flags, "--redirect-uri", "https://more.example/")
    assert table["kind"] == ("confidential" if confidential else "public")
    assert ("client_secret" in table) is confidential
    assert len(table["redirect_uris"]) > 1
    assert table["redirect_uris"][-1] == "https://more.example/"
    assert table["pkce_required"] is True


def test_a_confidential_client_of_ones_own_gets_its_redirect_url_later_too(place):
    told = place.succeed("clients", "add", "mine", "--confidential", "--scope", "mcp/read")
    assert "nobody can log in" in told
    assert "portico clients redirect add mine URL" in told
    assert place.json("clients", "show", "mine")["scopes"] == ["mcp/read"]


def test_a_table_needs_no_database():
    from portico.cli.client_table import ClientTable
    from portico.model.secret import Secret

    table = ClientTable(
        client_id="studio",
        client_secret=Secret("s3cret"),
        has_secret=True,
        issuer_url="https://facade.example",
        scopes=("mcp/invoke",),
        redirect_uris=(REDIRECT,),
        server_urls=("https://facade.example/mcp",),
    )
    assert table.values()["client_secret"] == "s3cret"
    assert ("Server URL", "https://facade.example/mcp") in table.rows()
    assert "s3cret" not in repr(table)
