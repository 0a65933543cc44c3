"""The pages of docs/ name everything there is: commands, settings, error codes."""

import subprocess
import sys
from pathlib import Path

import click
import msgspec
import pytest

from portico.cli.main import root
from portico.model import errors
from portico.model.documents import GatewayExtension, TargetExtension
from portico.oauth.issuer_settings import IssuerSettings
from portico.service.process_settings import KEYS

ROOT = Path(__file__).parents[2]
ABSTRACT = {"unauthenticated", "unavailable"}  #: codes that only name branches of the tree


def page(name):
    return (ROOT / "docs" / name).read_text()


def commands(group, *path):
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if command is None or command.hidden:
                continue
            yield (*path, name)
            if isinstance(command, click.Group):
                yield from commands(command, *path, name)


def test_every_command_has_its_paragraph():
    text = page("cli.md")
    for first, *rest in commands(root):
        assert f"### `portico {first}`" in text
        section = text.split(f"### `portico {first}`")[1].split("\n### ")[0]
        assert not rest or f"`{' '.join(rest)}" in section or rest == ["signing"], f"portico {first} {' '.join(rest)}"


def test_every_setting_of_the_process_has_its_row_and_its_variable():
    text = page("configuration.md")
    for key, variable in KEYS.items():
        assert f"| `{key}` | `{variable}` |" in text


@pytest.mark.parametrize("kind", [GatewayExtension, TargetExtension, IssuerSettings])
def test_every_member_of_our_own_documents_has_its_row(kind):
    text = page("configuration.md")
    for field in msgspec.structs.fields(kind):
        assert f"| `{field.encode_name}` |" in text


def every_error(kind):
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from every_error(child)


def test_every_error_code_has_its_row():
    text = page("errors.md")
    told = {error.code for error in every_error(errors.PorticoError)} - ABSTRACT
    assert [code for code in sorted(told) if f"`{code}`" not in text] == []


def test_the_example_configuration_is_in_order(tmp_path):
    example = page("configuration.md").split("```yaml\n")[1].split("```")[0]
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "ada").write_text("correct horse battery")
    (tmp_path / "secrets" / "nightly-agent").write_text("x" * 43)
    file = tmp_path / "portico.yaml"
    file.write_text(example.replace("/var/lib/portico", str(tmp_path)))
    portico = Path(sys.executable).with_name("portico")
    subprocess.run([portico, "keyring", "init", tmp_path / "keyring"], check=True, capture_output=True)
    done = subprocess.run([portico, "check", "--config", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_link_of_the_pages_is_broken():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "render_docs.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
