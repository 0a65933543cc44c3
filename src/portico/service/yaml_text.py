"""YAML text to plain values: strict where YAML 1.1 surprises, with ``${env:NAME}`` for secrets.

Refused or switched off: repeated keys (the last one would win in silence), dates (``2025-11-25`` is a protocol
revision), ``yes``/``no``/``on``/``off`` as booleans, and documents that grow beyond a bound through aliases.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import yaml

from portico.model.errors import ConfigError, Fault

MAX_BYTES: Final = 4 * 1024 * 1024  #: of a configuration file
MAX_NODES: Final = 100_000  #: values of a document after its aliases are followed
MAX_DEPTH: Final = 64  #: levels

_ENVIRONMENT = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}\Z")


def parse_yaml(text: str, *, environ: Mapping[str, str]) -> tuple[dict[str, Any], list[Fault]]:
    """Return the document in ``text`` and what is wrong with its references to the environment.

    An empty text is an empty document.

    Raises:
        ConfigError: it is not YAML, repeats a key, is too large, or is no object.
    """
    try:
        document: object = yaml.load(text, _StrictLoader)  # noqa: S506 - derived from SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError([Fault(path=_place(error), message=_problem(error))]) from error
    except RecursionError as error:
        raise ConfigError([Fault(path="", message=f"is nested deeper than {MAX_DEPTH} levels")]) from error
    if document is None:
        return {}, []
    if not isinstance(document, dict):
        raise ConfigError([Fault(path="", message="must be an object at its top")])
    resolver = _Resolver(environ)
    return cast("dict[str, Any]", resolver.resolve(cast("object", document), "", 0)), resolver.faults


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader without dates, with two spellings of booleans, and no repeated keys."""


_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":bool"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_implicit_resolver(  # pyright: ignore[reportUnknownMemberType] - stubs
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|false)\Z"), list("tf")
)


def _construct_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[str, Any]:
    loader.flatten_mapping(node)
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key: object = loader.construct_object(key_node, deep=True)  # pyright: ignore[reportUnknownMemberType] - stubs
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(None, None, "a key must be text; quote it", key_node.start_mark)
        if key in found:
            raise yaml.constructor.ConstructorError(None, None, f"repeats the key {key!r}", key_node.start_mark)
        found[key] = loader.construct_object(value_node, deep=True)  # pyright: ignore[reportUnknownMemberType] - stubs
    return found


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


@dataclass(slots=True)
class _Resolver:
    """Copies a document, following references to the environment."""

    environ: Mapping[str, str]
    faults: list[Fault] = field(default_factory=list[Fault])
    nodes: int = 0

    def resolve(self, value: object, path: str, depth: int) -> object:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            message = f"grows beyond {MAX_NODES} values or {MAX_DEPTH} levels; write less with aliases"
            raise ConfigError([Fault(path=path, message=message)])
        if isinstance(value, dict):
            entries = cast("dict[str, object]", value).items()
            return {key: self.resolve(entry, f"{path}.{key}" if path else key, depth + 1) for key, entry in entries}
        if isinstance(value, list):
            listed = enumerate(cast("list[object]", value))
            return [self.resolve(entry, f"{path}[{index}]", depth + 1) for index, entry in listed]
        if isinstance(value, str) and "${env:" in value:
            return self.from_environment(value, path)
        return value

    def from_environment(self, value: str, path: str) -> str:
        found = _ENVIRONMENT.match(value)
        if found is None:
            self.faults.append(Fault(path=path, message="must be ${env:NAME} and nothing beside it"))
            return value
        text = self.environ.get(found[1])
        if not text:
            self.faults.append(Fault(path=path, message=f"the environment variable {found[1]} is not set"))
            return value
        return text


def _place(error: yaml.YAMLError) -> str:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"


def _problem(error: yaml.YAMLError) -> str:
    """Say what is wrong without quoting the text around it: it may hold secrets."""
    problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else None
    return problem or "is not YAML"
