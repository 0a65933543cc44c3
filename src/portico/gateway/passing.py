"""What of a caller's HTTP request a target is handed: headers and query parameters that it allows by name. Pure.

The limits are AWS's (developer guide, gateway-headers). What breaks one is refused, not left out: a target must not
take a call for another tenant's because the header that says so was too long (what AWS does is AWS-unverified).
"""

import hashlib
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from portico.model.target import Propagation
from portico.protocol.errors import INVALID_PARAMS, RpcRefused
from portico.targets.handing_back import MAX_VALUE_BYTES, PRINTABLE

MAX_PARAMETERS: Final = 100  #: of a request's query, whatever their names

_Headers = Sequence[tuple[bytes, bytes]]


class Passed(msgspec.Struct, frozen=True):
    """What is passed on. Values may be secrets and are not printed."""

    headers: tuple[tuple[bytes, bytes], ...] = ()
    query: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        """Show how much there is."""
        return f"Passed({len(self.headers)} headers, {len(self.query)} parameters)"

    @property
    def digest(self) -> str:
        """What is the same for the same values only; empty when nothing is passed on."""
        if not self.headers and not self.query:
            return ""
        return hashlib.sha256(msgspec.json.encode([sorted(self.headers), self.query])).hexdigest()


def passed_on(propagation: Propagation, headers: _Headers, query: bytes) -> Passed:
    """Return what of a request's ``headers`` (names in lower case) and ``query`` goes on to a target.

    Raises:
        RpcRefused: a value that would be passed on is over a limit, or its header is repeated.
    """
    return Passed(
        _headers(propagation, headers) if propagation.request_headers else (),
        _parameters(propagation, query) if propagation.query_parameters and query else (),
    )


def _headers(propagation: Propagation, headers: _Headers) -> tuple[tuple[bytes, bytes], ...]:
    found = [entry for entry in headers if entry[0] in propagation.request_headers]
    names: set[bytes] = set()
    for name, value in found:
        shown = f"The header {name.decode('ascii')}"
        if name in names:  # whoever reads the first and whoever reads the last would see different calls
            raise RpcRefused(INVALID_PARAMS, f"{shown} is repeated; it is passed on to the target, so send it once.")
        _judge(shown, value)
        names.add(name)
    return tuple(found)


def _parameters(propagation: Propagation, query: bytes) -> tuple[tuple[str, str], ...]:
    try:
        given = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        raise RpcRefused(INVALID_PARAMS, f"The URL has more than {MAX_PARAMETERS} query parameters.") from error
    found = tuple(entry for entry in given if entry[0] in propagation.query_parameters)
    for name, value in found:
        _judge(f"The query parameter {name}", value.encode("utf-8", "surrogatepass"))
    return found


def _judge(shown: str, value: bytes) -> None:
    if len(value) > MAX_VALUE_BYTES:
        raise RpcRefused(INVALID_PARAMS, f"{shown} is longer than {MAX_VALUE_BYTES} bytes and cannot be passed on.")
    if not PRINTABLE.match(value):
        raise RpcRefused(INVALID_PARAMS, f"{shown} holds other than printable ASCII and cannot be passed on.")
