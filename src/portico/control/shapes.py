"""Documents checked against botocore's service model of the AgentCore control plane.

boto3 itself checks only presence, types and minimum lengths, so a server has to check patterns, enumerations and
maxima too (reference: the model ``bedrock-agentcore-control``, version pinned by the lock). Everything that is wrong
is reported at once, each fault with its path; values are never echoed, they may be secrets. Members bear their names
on the wire; those of an operation's input and output that travel in the path, the query or a header bear the model's.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final, cast

from botocore.loaders import Loader  # pyright: ignore[reportMissingTypeStubs] - botocore ships none

from portico.model.errors import Fault

SERVICE: Final = "bedrock-agentcore-control"
MAX_DEPTH: Final = 64  #: levels of a document; the model itself is some ten levels deep
MAX_FAULTS: Final = 100  #: that one check reports

Shapes = Mapping[str, Mapping[str, Any]]


@lru_cache(maxsize=2)
def load_model(service: str = SERVICE) -> Mapping[str, Any]:
    """Read a plane's service model without its prose (some 300 ms, once per process)."""
    loader = cast("Any", Loader())
    model: dict[str, Any] = loader.load_service_model(service, "service-2")
    return cast("dict[str, Any]", _without_prose(model))


def load_shapes(service: str = SERVICE) -> Shapes:
    """Return every shape of a plane's model."""
    return cast("Shapes", load_model(service)["shapes"])


def _without_prose(value: object) -> object:
    """Drop the documentation, which is most of a model; a member of that name is an object and stays."""
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value).items()
        return {
            name: _without_prose(entry)
            for name, entry in entries
            if not (name == "documentation" and isinstance(entry, str))
        }
    if isinstance(value, list):
        return [_without_prose(entry) for entry in cast("list[object]", value)]
    return value


def check_shape(
    shape: str,
    value: object,
    *,
    path: str = "",
    relaxed: frozenset[str] = frozenset(),
    shapes: Shapes | None = None,
) -> list[Fault]:
    """Return everything in ``value`` that the shape named ``shape`` does not allow.

    ``relaxed`` holds constraints that are not checked, written ``Shape.member:constraint`` for ``required`` and
    ``Shape:constraint`` for all others (:mod:`portico.control.relaxations`). No more than ``MAX_FAULTS`` are returned:
    whoever sends a million wrong entries gets no million answers.
    """
    found = _Checker(load_shapes() if shapes is None else shapes, relaxed).check(shape, value, path, 0)
    return list(islice(found, MAX_FAULTS))


def member_path(path: str, member: str) -> str:
    """Append a member's name to a path."""
    return f"{path}.{member}" if path else member


def wire_name(member: str, spec: Mapping[str, Any]) -> str:
    """Return the name of a structure's member in a document."""
    return member if "location" in spec else spec.get("locationName", member)


class _Checker:
    def __init__(self, shapes: Shapes, relaxed: frozenset[str]) -> None:
        self._shapes = shapes
        self._relaxed = relaxed

    def check(self, name: str, value: object, path: str, depth: int) -> Iterator[Fault]:
        shape = self._shapes[name]
        kind: str = shape["type"]
        if depth > MAX_DEPTH:
            yield Fault(path=path, message=f"is nested deeper than {MAX_DEPTH} levels")
        elif shape.get("document"):
            return  # free-form
        elif not _has_type(kind, value):
            yield Fault(path=path, message=f"must be {_TYPE_NAMES.get(kind, kind)}")
        elif isinstance(value, dict) and kind == "structure":
            yield from self._structure(name, shape, cast("dict[str, object]", value), path, depth)
        elif isinstance(value, dict) and kind == "map":
            yield from self._map(name, shape, cast("dict[str, object]", value), path, depth)
        elif isinstance(value, list):
            yield from self._list(name, shape, cast("list[object]", value), path, depth)
        elif isinstance(value, str):
            yield from self._string(name, shape, value, path)
        elif isinstance(value, int | float):
            yield from self._number(name, shape, value, path)

    def _structure(
        self, name: str, shape: Mapping[str, Any], value: dict[str, object], path: str, depth: int
    ) -> Iterator[Fault]:
        members: dict[str, dict[str, Any]] = shape.get("members", {})
        wire_names = {wire_name(member, spec): (member, spec) for member, spec in members.items()}
        for required in shape.get("required", ()):
            wire = wire_name(required, members[required])
            if wire not in value and not self._is_relaxed(f"{name}.{required}", "required"):
                yield Fault(path=member_path(path, wire), message="is required")
        for key, entry in value.items():
            if key in wire_names:
                yield from self.check(wire_names[key][1]["shape"], entry, member_path(path, key), depth + 1)
            else:
                known = ", ".join(sorted(wire_names)) or "nothing"
                yield Fault(path=member_path(path, key), message=f"is not known here; known are: {known}")
        if shape.get("union") and len(value) != 1:
            choices = ", ".join(sorted(wire_names))
            yield Fault(path=path, message=f"must hold exactly one of: {choices}")

    def _map(
        self, name: str, shape: Mapping[str, Any], value: dict[str, object], path: str, depth: int
    ) -> Iterator[Fault]:
        yield from self._length(name, shape, len(value), "entries", path)
        for key, entry in value.items():
            yield from self.check(shape["key"]["shape"], key, f"{path}[{key!r}]", depth + 1)
            yield from self.check(shape["value"]["shape"], entry, f"{path}[{key!r}]", depth + 1)

    def _list(self, name: str, shape: Mapping[str, Any], value: list[object], path: str, depth: int) -> Iterator[Fault]:
        yield from self._length(name, shape, len(value), "entries", path)
        for index, entry in enumerate(value):
            yield from self.check(shape["member"]["shape"], entry, f"{path}[{index}]", depth + 1)

    def _string(self, name: str, shape: Mapping[str, Any], value: str, path: str) -> Iterator[Fault]:
        choices: list[str] | None = shape.get("enum")
        if choices is not None and value not in choices and not self._is_relaxed(name, "enum"):
            yield Fault(path=path, message=f"must be one of: {', '.join(choices)}")
            return
        yield from self._length(name, shape, len(value), "characters", path)
        pattern: str | None = shape.get("pattern")
        if pattern is None or self._is_relaxed(name, "pattern"):
            return
        if len(value) > MAX_PATTERN_CHARS:  # no pattern is tried on what is too long anyway
            yield Fault(path=path, message=f"must have at most {MAX_PATTERN_CHARS} characters")
        elif _compiled(pattern).fullmatch(value) is None:
            yield Fault(path=path, message=f"must match {pattern}")

    def _number(self, name: str, shape: Mapping[str, Any], value: float, path: str) -> Iterator[Fault]:
        low, high = shape.get("min"), shape.get("max")
        widest = _WIDEST.get(shape["type"])
        if widest is not None and not -widest - 1 <= value <= widest:
            yield Fault(path=path, message=f"must be from {-widest - 1} to {widest}")
            return
        if low is not None and value < low and not self._is_relaxed(name, "min"):
            yield Fault(path=path, message=f"must be at least {low}")
        if high is not None and value > high and not self._is_relaxed(name, "max"):
            yield Fault(path=path, message=f"must be at most {high}")

    def _length(self, name: str, shape: Mapping[str, Any], length: int, unit: str, path: str) -> Iterator[Fault]:
        low, high = shape.get("min"), shape.get("max")
        if low is not None and length < low and not self._is_relaxed(name, "min"):
            advice = "; leave it out if it is not wanted" if length == 0 else ""
            yield Fault(path=path, message=f"must have at least {low} {unit}{advice}")
        if high is not None and length > high and not self._is_relaxed(name, "max"):
            yield Fault(path=path, message=f"must have at most {high} {unit}")

    def _is_relaxed(self, where: str, constraint: str) -> bool:
        return f"{where}:{constraint}" in self._relaxed


#: Characters of a text that is matched at all where the model sets no maximum.
MAX_PATTERN_CHARS: Final = 4096

_PYTHON_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "list": (list,),
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
}

#: Largest value of the whole numbers that JSON does not bound by itself.
_WIDEST: Final = {"integer": 2**31 - 1, "long": 2**63 - 1}

_TYPE_NAMES: Final = {
    "structure": "an object",
    "map": "an object",
    "list": "a list",
    "string": "text (quote it if YAML reads it as something else)",
    "integer": "a whole number",
    "long": "a whole number",
    "float": "a number",
    "double": "a number",
    "boolean": "true or false",
}


def _has_type(kind: str, value: object) -> bool:
    if kind in {"structure", "map"}:
        return isinstance(value, dict) and all(isinstance(key, str) for key in cast("dict[object, object]", value))
    expected = _PYTHON_TYPES.get(kind)
    if expected is None:
        return True  # a free-form document
    return isinstance(value, expected) and isinstance(value, bool) == (kind == "boolean")  # Python's bool is an int


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    r"""Compile a pattern of the model, with Java's meaning of its classes.

    ``\p{C}`` (control characters) is spelt out, Python has no such class; ``\d`` and ``\w`` know ASCII only.
    """
    return re.compile(pattern.replace(r"\p{C}", r"\x00-\x1f\x7f-\x9f"), re.DOTALL | re.ASCII)
