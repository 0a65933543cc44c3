"""The README and the pages of docs/ name everything there is, and what they show works."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import click
import msgspec
import pytest
import yaml
from click.testing import CliRunner

import portico
from portico.cli.main import root, run
from portico.control import declared_access_keys, declared_issuers, not_built
from portico.control.api import rendering
from portico.control.declared import DECLARED
from portico.control.relaxations import RELAXATIONS
from portico.model import errors, oauth_errors
from portico.model.access_key import ROLES
from portico.model.documents import GatewayExtension, TargetExtension
from portico.oauth.connector_settings import ConnectorSettings, ConnectorType
from portico.oauth.issuer_settings import IssuerSettings
from portico.oauth.provider_adapters import adapter_of
from portico.protocol import errors as rpc
from portico.service.facade_settings import (
    CONFIG_VARIABLE,
    FACADE_KEYS,
    ISSUER_KEYS,
    ISSUER_VARIABLE,
    KEYRING_KEYS,
    PROVIDER_KEYS,
    TOKEN_MODES,
    check_facade,
)
from portico.service.process_settings import KEYS
from portico.service.settings import NOT_BUILT

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "docs" / "portico.example.yaml"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
ABSTRACT = {"unauthenticated", "unavailable"}  #: codes that only name branches of the tree
#: JSON-RPC codes that are read from targets and never sent by us.
ONLY_READ = {rpc.LEGACY_NOT_FOUND, rpc.URL_ELICITATION_REQUIRED}
SHARED = {"--config", "--json", "--issuer", "--protocol", "--timeout"}  #: said once for all the commands that have it
MACHINE_SECRET = "portico_0123456789abcdef0123456789abcdef"
#: The parts of docs/providers.md, and the adapter that each is about.
PROVIDERS = {
    "Amazon Cognito": "cognito",
    "Microsoft Entra": "entra",
    "Okta": "okta",
    "Auth0": "auth0",
    "Keycloak": "keycloak",
    "Google": "google",
    "GitHub": "github",
    "Any other OpenID provider": "oidc",
}


def page(name):
    return (ROOT / "docs" / name).read_text()


def leaves(group=root, *path):
    """Yield every command that does something, with its path."""
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            if command.hidden:
                continue
            if isinstance(command, click.Group):
                if command.invoke_without_command:
                    yield (*path, name), command
                yield from leaves(command, *path, name)
            else:
                yield (*path, name), command


COMMANDS = dict(leaves())


def section(path):
    """Return the paragraph of a command in docs/cli.md, with what the part that it stands in says for all."""
    text = page("cli.md")
    before, found, rest = text.partition(f"### `portico {path[0]}`\n")
    assert found, f"portico {path[0]} has no paragraph"
    said_for_all = before.rpartition("\n## ")[2].partition("\n### ")[0]
    return said_for_all + re.split(r"\n##+ ", rest)[0]


def options(command):
    return {name for param in command.params if isinstance(param, click.Option) for name in param.opts}


def command_lines(text):
    """Return what stands in the shell blocks, line by line, continued lines joined."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE)
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def portico_arguments(line):
    """Return the arguments of a `portico` command line, None for another command."""
    words = shlex.split(line.partition(" < ")[0], comments=True)
    return words[1:] if words and Path(words[0]).name == "portico" else None


def parse(arguments):
    """Parse a command line against the tree of commands without running it; return the command's path."""
    group, path, rest = root, (), list(arguments)
    while isinstance(group, click.Group):
        if path and group.invoke_without_command:
            context = group.make_context(" ".join(path), rest)
            rest = [*context._protected_args, *context.args]  # what its own options left over
            if not rest:
                return path
        with click.Context(group) as context:
            command = group.get_command(context, rest[0])
            assert command is not None, f"no such command: portico {' '.join(arguments)}"
        path, group, rest = (*path, rest[0]), command, rest[1:]
    group.make_context(" ".join(path), rest)
    return path


# Commands


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_every_option_of_it_stands_in_its_paragraph(path):
    text = section(path)
    assert re.search(rf"\b{path[-1]}\b", text)
    missing = [name for name in options(COMMANDS[path]) - SHARED if f"{name}`" not in text and f"{name} " not in text]
    assert missing == []


def test_every_shared_option_is_explained():
    text = page("cli.md")
    assert [name for name in SHARED if f"`{name}" not in text] == []


def test_every_command_has_an_example_and_every_example_is_a_command():
    shown = [arguments for line in command_lines(page("cli.md")) if (arguments := portico_arguments(line))]
    assert {parse(arguments) for arguments in shown} == set(COMMANDS)


def test_every_option_is_shown_in_some_example_or_said_to_be_left_to_the_environment():
    shown = {word for line in command_lines(page("cli.md")) for word in line.split() if word.startswith("--")}
    every = {name for command in COMMANDS.values() for name in options(command)}
    assert every - shown == {"--token", "--client-secret"}, "secrets are better given by the environment"


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_option_has_help(path):
    command = COMMANDS[path]
    assert command.help
    undescribed = {param.name for param in command.params if isinstance(param, click.Option) and not param.help}
    assert undescribed <= {"email", "limit"}, "names that say it all"


def test_the_json_members_that_are_promised_are_those_of_the_values():
    text = page("cli.md")
    from portico.audit.record import CallRecord
    from portico.audit.verify import AuditFault, WriterReport
    from portico.cli.aws.sending import Sent
    from portico.control.access_keys import AccessKeySummary
    from portico.control.clients import ClientSummary
    from portico.control.differences import Difference, MemberDifference
    from portico.control.exporting import LeftOut
    from portico.control.gateway_summaries import GatewaySummary, TargetSummary
    from portico.control.grants import GrantSummary
    from portico.control.signing_keys import KeySummary
    from portico.control.users import UserSummary

    kinds = (UserSummary, ClientSummary, GrantSummary, AccessKeySummary, KeySummary, WriterReport, AuditFault)
    kinds = (*kinds, GatewaySummary, TargetSummary)
    for kind in (*kinds, Difference, MemberDifference, Sent, LeftOut):
        assert [name for name in kind.__dataclass_fields__ if f"`{name}`" not in text and f"{name}[]" not in text] == []
    assert [name for name in CallRecord.__struct_fields__ if f"`{name}`" not in text] == []


# Settings


def test_every_setting_of_the_process_has_its_row_and_its_variable():
    text = page("configuration.md")
    assert [key for key, variable in KEYS.items() if f"| `{key}` | `{variable}` |" not in text] == []


def test_every_setting_of_a_facade_has_its_row_and_its_variable():
    text = page("facade.md")
    assert [key for key, variable in FACADE_KEYS.items() if f"| `{key}` | `{variable}` |" not in text] == []
    members = {f"`issuer.{member}`": variable for member, variable in ISSUER_KEYS.items()}
    members |= {f"`{member}` of the only connector": variable for member, variable in PROVIDER_KEYS.items()}
    assert [member for member, variable in members.items() if f"| {member} | `{variable}` |" not in text] == []
    assert [
        name for name in (CONFIG_VARIABLE, KEYRING_KEYS, ISSUER_VARIABLE, *TOKEN_MODES) if f"`{name}`" not in text
    ] == []


def test_the_facades_file_to_start_from_is_in_order(tmp_path):
    example = page("facade.md").split("```yaml\n")[1].split("```")[0]
    file = tmp_path / "facade.yaml"
    file.write_text(example)
    run(["keyring", "init", str(tmp_path / "keyring")])
    assert check_facade(file, environ={"PROVIDER_SECRET": "x" * 32}) == []


@pytest.mark.parametrize("kind", [GatewayExtension, TargetExtension, IssuerSettings, ConnectorSettings])
def test_every_member_of_our_own_documents_has_its_row_with_its_default(kind):
    text = page("configuration.md")
    for field in msgspec.structs.fields(kind):
        default = re.findall(rf"^\| `{field.encode_name}` \| (.*?) \|", text, flags=re.MULTILINE)[0]
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert f"`{field.default:g}`" == default or f"`{field.default}`" in default
        elif isinstance(field.default, bool):
            assert default == f"`{str(field.default).lower()}`"


def test_every_member_of_access_keys_and_every_role_has_its_row():
    text = page("configuration.md")
    for named in (*declared_access_keys.KNOWN, "gateways", *ROLES):
        assert re.search(rf"^\| (`\w+`, )*`{named}`", text, flags=re.MULTILINE), named


def test_every_list_of_a_file_has_its_part():
    text = page("configuration.md")
    assert [name for name in DECLARED if not re.search(rf"^## .*`{name}\[\]`", text, flags=re.MULTILINE)] == []


def test_every_member_of_users_and_clients_is_named():
    text = page("configuration.md")
    members = declared_issuers._USER | declared_issuers._CLIENT | declared_issuers._SECRET | declared_issuers._NO_TEXTS
    assert [member for member in members if f"`{member}`" not in text] == []


def test_every_refused_member_has_its_row_with_the_reason():
    text = page("configuration.md")
    refused = [*not_built.GATEWAY.items(), *not_built.TARGET.items()]
    for member, value, reason in (*not_built.GATEWAY_VALUES, *not_built.TARGET_VALUES):
        refused.append((f"{member}: {value}", reason))
    assert [member for member, reason in refused if f"| `{member}` | {reason} |" not in text] == []
    assert [key for key in NOT_BUILT if f"`{key}`" not in text] == []


def test_every_relaxation_has_its_row():
    text = page("configuration.md")
    assert [entry.constraint for entry in RELAXATIONS if f"| {entry.rule} |" not in text] == []


def test_the_table_of_the_agentcore_api_is_the_one_that_the_models_make():
    command = [sys.executable, str(ROOT / "scripts" / "agentcore_api_table.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "run scripts/agentcore_api_table.py"


def test_every_exception_that_the_api_can_answer_with_has_its_row():
    text = page("agentcore-api.md")
    names = {name for name, _ in rendering._EXCEPTIONS.values()}
    names |= {kind.aws_code for kind in vars(errors).values() if "aws_code" in getattr(kind, "__dict__", {})} - {None}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def names_in(value):
    if isinstance(value, dict):
        return set(value) | {name for entry in value.values() for name in names_in(entry)}
    if isinstance(value, list):
        return {name for entry in value for name in names_in(entry)}
    return set()


def test_the_example_file_shows_every_setting_there_is():
    shown = names_in(yaml.safe_load(EXAMPLE.read_text()))
    wanted = {part for key in KEYS for part in key.split(".")}
    for kind in (GatewayExtension, TargetExtension, IssuerSettings):
        wanted |= {field.encode_name for field in msgspec.structs.fields(kind)}
    wanted |= {"users", "clients", "gateways", "targets", "issuers", "supportedVersions", "customClaims"}
    wanted |= {*DECLARED, *declared_access_keys.KNOWN}
    assert wanted - shown == set()


def check(directory, text, **variables):
    """Run `portico check` on a file whose paths were moved below ``directory``; return its exit code and report."""
    (directory / "secrets").mkdir()
    (directory / "secrets" / "ada").write_text("correct horse battery\n")
    (directory / "secrets" / "nightly-agent").write_text(MACHINE_SECRET)
    (directory / "secrets" / "ci").write_text(MACHINE_SECRET)
    (directory / "secrets" / "corp").write_text(MACHINE_SECRET)
    (directory / "secrets" / "crm").write_text(MACHINE_SECRET)
    (directory / "ca.pem").write_text("")
    file = directory / "portico.yaml"
    moved = text.replace("/var/lib/portico", str(directory))
    file.write_text(moved.replace("/etc/ssl/certs/example-corp.pem", str(directory / "ca.pem")))
    with CliRunner().isolation(env=dict.fromkeys(KEYS.values()) | variables) as (_, err, _):
        run(["keyring", "init", str(directory / "keyring")])
        return run(["check", "--config", str(file)]), err.getvalue().decode()


def test_the_example_file_is_in_order(tmp_path):
    assert check(
        tmp_path, EXAMPLE.read_text(), NIGHTLY_AGENT_SECRET=MACHINE_SECRET, WEATHER_API_KEY=MACHINE_SECRET
    ) == (0, "")


def test_the_example_to_start_from_is_in_order(tmp_path):
    assert check(tmp_path, page("configuration.md").split("```yaml\n")[1].split("```")[0]) == (0, "")


# Identity providers


def provider_examples(title):
    """Return the YAML of a part of docs/providers.md, by the file that it is for."""
    part = page("providers.md").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", part, flags=re.DOTALL))


def test_every_kind_of_provider_has_its_part_on_the_page_and_nothing_else_has():
    titles = re.findall(r"^## (.+)$", page("providers.md"), flags=re.MULTILINE)
    assert titles == ["The same everywhere", *PROVIDERS]
    assert {*PROVIDERS.values(), "local"} == set(get_args(ConnectorType))


@pytest.mark.parametrize("title", PROVIDERS)
def test_what_serve_is_given_for_a_provider_is_in_order(tmp_path, title):
    example = provider_examples(title)["portico.yaml"]
    whole = provider_examples("The same everywhere")["portico.yaml"] + example
    assert check(tmp_path, whole, PROVIDER_SECRET=MACHINE_SECRET) == (0, "")
    [connector] = yaml.safe_load(example)["issuers"][0]["connectors"]
    assert adapter_of(msgspec.convert(connector, ConnectorSettings)).type == PROVIDERS[title]


@pytest.mark.parametrize("title", PROVIDERS)
def test_what_the_facade_is_given_for_a_provider_is_in_order(tmp_path, title):
    example = provider_examples(title)["facade.yaml"]
    file = tmp_path / "facade.yaml"
    file.write_text(provider_examples("The same everywhere")["facade.yaml"] + example)
    run(["keyring", "init", str(tmp_path / "keyring")])
    assert check_facade(file, environ={"PROVIDER_SECRET": MACHINE_SECRET}) == []
    [connector] = yaml.safe_load(example)["issuer"]["connectors"]
    assert adapter_of(msgspec.convert(connector, ConnectorSettings)).type == PROVIDERS[title]


# Errors


def every_error(kind):
    for child in kind.__subclasses__():
        if child.__module__ in {errors.__name__, oauth_errors.__name__}:
            yield child
            yield from every_error(child)


def test_every_error_code_stands_in_the_page_of_errors():
    text = page("errors.md")
    told = {error.code for error in every_error(errors.PorticoError) if "code" in vars(error)} - ABSTRACT
    assert [code for code in sorted(told) if f"`{code}`" not in text] == []


def test_every_row_of_the_error_table_has_the_status_of_its_class():
    statuses = {error.code: error.status for error in every_error(errors.PorticoError) if error.status != 400}
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (\d+) \|", page("errors.md"), flags=re.MULTILINE))
    assert {code: int(rows[code]) for code in statuses.keys() & rows.keys()} == {
        code: status for code, status in statuses.items() if code in rows
    }


def test_every_json_rpc_code_that_we_send_has_its_row():
    sent = {value for name, value in vars(rpc).items() if name.isupper() and isinstance(value, int) and value < 0}
    rows = re.findall(r"^\| \N{MINUS SIGN}(\d{5}) \|", page("errors.md"), flags=re.MULTILINE)
    assert {-int(row) for row in rows} == sent - ONLY_READ


# The house

PACKAGES = {path.parent.name for path in (ROOT / "src" / "portico").glob("*/__init__.py")}


def drawn(text):
    """Return the layers that a text draws as import-linter reads them, without what stands beside their names."""
    picture = text[text.index("cli\n") :].partition("\n\n")[0].partition("```")[0]
    return [frozenset(re.split(r" {2,}", line.strip())[0].split(" | ")) for line in picture.strip().splitlines()]


def test_the_layers_that_are_drawn_are_those_that_the_linter_holds():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    held = [frozenset(layer.split(" | ")) for layer in contracts[0]["layers"]]
    assert drawn(page("architecture.md").partition("\n## Layers")[2].partition("```\n")[2]) == held
    assert drawn((portico.__doc__ or "").partition("::\n")[2]) == held


def test_every_package_has_its_row_in_the_architecture():
    text = page("architecture.md")
    assert [name for name in sorted(PACKAGES) if f"\n| `{name}` |" not in text] == []


def test_every_module_that_the_architecture_names_exists():
    named = set(re.findall(rf"`((?:{'|'.join(PACKAGES)})/[a-z_/]+)(?:\.\w+)?`", page("architecture.md")))
    places = {name: ROOT / "src" / "portico" / name for name in named}
    assert named
    assert [name for name, place in places.items() if not (place.is_dir() or place.with_suffix(".py").is_file())] == []


# Pages


def test_no_link_of_the_pages_is_broken():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "render_docs.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_page_can_be_reached_from_the_readme():
    seen, queue = set(), [ROOT / "README.md"]
    while queue:
        at = queue.pop()
        if at in seen or at.suffix != ".md":
            continue
        seen.add(at)
        links = re.findall(r"\]\(([^)\s#]+)", at.read_text())
        queue += [(at.parent / link).resolve() for link in links if not re.match(r"[a-z]+:", link)]
    assert [str(path.relative_to(ROOT)) for path in PAGES if path not in seen] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_portico_command_line_of_a_page_parses(path):
    for line in command_lines(path.read_text()):
        arguments = portico_arguments(line)
        if arguments is not None:
            parse(arguments)


def test_the_file_in_the_readme_is_in_order(tmp_path):
    file = tmp_path / "portico.yaml"
    file.write_text((ROOT / "README.md").read_text().split("```yaml\n")[1].split("```")[0])
    with CliRunner().isolation(env=dict.fromkeys(KEYS.values())):
        assert run(["keyring", "init", str(tmp_path / "data" / "keyring")]) == 0
        assert run(["check", "--config", str(file)]) == 0


def test_the_readme_shows_command_lines():
    lines = command_lines((ROOT / "README.md").read_text())
    assert {parse(found)[0] for line in lines if (found := portico_arguments(line))} >= {
        "login",
        "call",
        "check",
        "serve",
    }


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {name for path in PAGES for name in re.findall(r"(?:^ *|`)make ([a-z]+)", path.read_text(), re.MULTILINE)}
    assert named
    assert named <= targets


def test_the_commands_that_settings_and_errors_advise_exist():
    source = "\n".join(path.read_text() for path in (ROOT / "src" / "portico").rglob("*.py"))
    advised = re.findall(r"(?:[Rr]un|with|how|front first|change the key): (portico [a-z]+(?: [a-z]+)?)", source)
    known = {" ".join(path[:2]) for path in COMMANDS} | {path[0] for path in COMMANDS}
    assert advised
    assert [line for line in advised if not {line.removeprefix("portico "), line.split()[1]} & known] == []
