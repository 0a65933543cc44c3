"""JSON objects from strangers: token headers, claims, discovery documents, key sets.

Stricter than RFC 8259 where leniency is an attack: no member twice (two readers may keep different ones), no NaN or
Infinity, no lone surrogates (they cannot be written to a log or a database), bounded nesting.
"""

import json
from typing import Any, Final, NoReturn, cast

MAX_DEPTH: Final = 32  #: levels of arrays and objects; real tokens and key sets have three or four


def parse_object(text: bytes, *, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """Return the JSON object in ``text``, UTF-8.

    Raises:
        ValueError: not an object, not UTF-8, or one of the things that this module refuses.
    """
    try:
        value: object = json.loads(
            text.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - callers translate one kind of fault
    members = cast("dict[str, Any]", value)
    _check_tree(members, max_depth)
    return members


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_tree(root: object, max_depth: int) -> None:
    """Walk without recursion: the depth is what is being checked."""
    level: list[object] = [root]
    for _ in range(max_depth):
        if not level:
            return
        level = [child for value in level for child in _children(value)]
    if level:
        raise ValueError("nested too deeply")


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        return [*members.keys(), *members.values()]
    if isinstance(value, list):
        return cast("list[object]", value)
    if isinstance(value, str) and not value.isascii():
        value.encode("utf-8")  # raises UnicodeEncodeError, a ValueError, for a lone surrogate
    return []
