"""What a JSON decoder lets pass and a gateway must not: repeated members and deep nesting.

A proxy, a firewall and a target that read different copies of a repeated member see different calls, and Go's
decoder takes ``Method`` for ``method``. msgspec keeps the last copy silently, so the members of every object that we
read ourselves are proven to be single.

How, in about a microsecond: the object is decoded once as ``dict[str, Raw]``, which copies no value. If the text is
exactly as long as its members need in compact form, it holds each of them once and nothing else, because a repeated
member, a space or an escaped key only makes it longer. Otherwise the text is walked member by member: at every key
the value that msgspec kept must stand next, whole; a copy that was dropped differs there, or repeats its key. Values
are compared, never parsed a second time. ``tests/protocol`` proves both against ``json.loads`` with pairs.
"""

import re
from array import array
from collections.abc import Set as AbstractSet
from itertools import accumulate
from typing import Final

import msgspec

from portico.model.errors import InputError

MAX_DEPTH: Final = 64  #: nested objects and arrays of one message

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_decode_key = msgspec.json.Decoder(str).decode

_KEY = re.compile(rb'[ \t\r\n]*("[^"\\]*(?:\\.[^"\\]*)*")[ \t\r\n]*:[ \t\r\n]*')
_AFTER = re.compile(rb"[ \t\r\n]*([,}])")
_OPEN = re.compile(rb"[ \t\r\n]*\{")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
#: Opening brackets count one up, closing ones one down, read as signed bytes.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")


class RepeatedMember(InputError):
    """A member stands twice, or differs from another or a known one by letter case only; ``name`` is it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The member {name[:64]!r} is repeated or differs from another by letter case only.")
        self.name = name


class TooDeep(InputError):
    """More than ``MAX_DEPTH`` objects and arrays are nested."""

    def __init__(self) -> None:
        super().__init__(f"Objects and arrays are nested deeper than {MAX_DEPTH} levels.")


def check_depth(text: bytes) -> None:
    """Refuse deep nesting before anything decodes ``text``, with at most one pass in C over its bytes.

    Raises:
        TooDeep: more than ``MAX_DEPTH`` levels.
    """
    if text.count(b"{") + text.count(b"[") <= MAX_DEPTH:  # the common case: too few brackets to be deep
        return
    brackets = _STRING.sub(b"", text).translate(None, _NO_BRACKET)
    if max(accumulate(array("b", brackets.translate(_STEPS))), default=0) > MAX_DEPTH:
        raise TooDeep


def members(text: bytes | msgspec.Raw, known: AbstractSet[str]) -> dict[str, msgspec.Raw]:
    """Return the members of the object ``text`` with their values as raw JSON.

    ``known`` are the names that the reader looks for; a name that equals one of them but for letter case is refused.

    Raises:
        msgspec.DecodeError: not JSON.
        msgspec.ValidationError: JSON, but no object.
        RepeatedMember: see there.
    """
    found = _decode_members(text)
    # Values are written back as they stood, keys in their shortest form; what is written is thrown away.
    if found and len(_encode(found)) != len(memoryview(text)):
        _walk(bytes(text), found)
    if not found.keys() <= known:
        _refuse_variants(found, known)
    return found


def _walk(text: bytes, found: dict[str, msgspec.Raw]) -> None:
    """Prove that ``text`` holds each of ``found`` once; linear, one step per member."""
    seen: set[str] = set()
    opening = _OPEN.match(text)
    position = opening.end() if opening else 0
    while True:
        token = _KEY.match(text, position)
        key = "" if token is None else _decode_key(token[1])
        if token is None or key in seen or key not in found:
            raise RepeatedMember(key)
        seen.add(key)
        value = bytes(found[key])
        after = _AFTER.match(text, token.end() + len(value))
        if after is None or not text.startswith(value, token.end()):
            raise RepeatedMember(key)
        if after[1] == b"}":
            return
        position = after.end()


def _refuse_variants(found: dict[str, msgspec.Raw], known: AbstractSet[str]) -> None:
    folded = {name.casefold() for name in known}
    seen: set[str] = set()
    for key in found:
        plain = key.casefold()
        if plain in seen or (plain in folded and key not in known):
            raise RepeatedMember(key)
        seen.add(plain)
