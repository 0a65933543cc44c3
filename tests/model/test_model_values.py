"""Secrets print as stars; documents become values and come back."""

import importlib
import pkgutil
import re

import pytest

from portico import model
from portico.model import errors, oauth_errors
from portico.model.documents import dump_eras, load_eras, parse_gateway, parse_target
from portico.model.principal import Principal
from portico.model.secret import Secret
from portico.model.target import EraTools, Propagation, Tool

MODULES = [importlib.import_module(found.name) for found in pkgutil.iter_modules(model.__path__, "portico.model.")]


@pytest.mark.case("H10")
def test_a_secret_prints_as_stars_in_every_form():
    secret = Secret("canary-4711")
    shown = f"{secret} {secret!r} {secret!s} {[secret]} { {'k': secret} }"
    assert "canary" not in shown
    assert secret.reveal() == "canary-4711"
    assert secret.matches("canary-4711")
    assert not secret.matches("canary-4712")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_error_has_a_code_and_stands_in_the_tree_that_its_module_draws(module):
    drawn = set(re.findall(r"\w+", module.__doc__ or ""))
    for name, value in vars(module).items():
        if isinstance(value, type) and issubclass(value, errors.PorticoError) and value.__module__ == module.__name__:
            assert value.code, name
            assert name in drawn, f"{name} is missing in the tree of {module.__name__}"


def test_the_tree_of_errors_names_the_modules_of_its_branches():
    kinds = [errors.PorticoError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    homes = {kind.__module__ for kind in kinds} & {module.__name__ for module in MODULES}
    assert homes == {errors.__name__, oauth_errors.__name__}
    assert "model/oauth_errors.py" in (errors.__doc__ or "")


def test_the_same_subject_at_two_issuers_is_two_principals():
    one = Principal(kind="user", issuer="https://a", subject="s", client_id="c")
    other = Principal(kind="user", issuer="https://b", subject="s", client_id="c")
    machine = Principal(kind="machine", issuer="https://a", subject="s", client_id="c")
    assert len({one.key, other.key, machine.key}) == 3


def test_sessions_and_streaming_are_opt_in_as_in_aws():
    plain = parse_gateway(gateway_id="g", document={"name": "g", "authorizerType": "NONE"}, extension={}, revision=1)
    assert (plain.session_timeout, plain.streaming) == (0, False)
    opted = {"sessionConfiguration": {}, "streamingConfiguration": {"enableResponseStreaming": True}}
    rich = parse_gateway(
        gateway_id="g",
        document={"name": "g", "authorizerType": "NONE", "protocolConfiguration": {"mcp": opted}},
        extension={},
        revision=1,
    )
    assert (rich.session_timeout, rich.streaming) == (3600, True)


def test_what_a_synchronization_found_survives_storage():
    eras = (EraTools(era="modern", version="2026-07-28", tools=(Tool(name="a", definition=b'{"name":"a"}'),)),)
    assert load_eras(dump_eras(eras)) == eras


def test_a_target_says_what_is_passed_on_and_whether_its_lists_are_live():
    server = {"endpoint": "https://a.example/mcp"}
    document = {"name": "a", "targetConfiguration": {"mcp": {"mcpServer": server}}}
    rest = {"target_id": "T", "gateway_id": "g", "extension": {}, "status": "READY", "eras": None, "revision": 1}
    plain = parse_target(document=document, **rest)
    assert (plain.propagation, plain.live_lists) == (Propagation(), False)
    metadata = {
        "allowedRequestHeaders": ["X-Tenant"],
        "allowedResponseHeaders": ["X-Rate"],
        "allowedQueryParameters": ["Version"],
    }
    server["listingMode"] = "DYNAMIC"
    full = parse_target(document=document | {"metadataConfiguration": metadata}, **rest)
    assert full.live_lists
    assert full.propagation == Propagation(
        request_headers=frozenset({b"x-tenant"}),
        response_headers=frozenset({b"x-rate"}),
        query_parameters=frozenset({"Version"}),
    )
