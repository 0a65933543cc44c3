"""The ``WWW-Authenticate`` header of a protected resource (RFC 6750 section 3, RFC 9728 section 5.1).

Always exactly one ``Bearer`` challenge with quoted values: MCP clients find its fields with a regular expression over
the whole header. For the same reason the description stands last and holds no ``=``: it cannot be taken for a field.
"""

import re
from collections.abc import Iterable
from typing import Final

from portico.model.errors import Forbidden, MissingToken, PorticoError
from portico.oauth.scope import advertised

MAX_DESCRIPTION_CHARS: Final = 600

#: RFC 6750 section 3: neither quotes nor backslash nor controls; and no ``=`` (see above).
_NOT_IN_DESCRIPTION = re.compile(r"[^\x20\x21\x23-\x3c\x3e-\x5b\x5d-\x7e]")
_NOT_IN_URL = re.compile(r"[^\x21\x23-\x5b\x5d-\x7e]")


def bearer_challenge(
    error: PorticoError, *, resource_metadata: str, scopes: Iterable[str] = (), debug: bool = False
) -> bytes:
    """Return the value of ``WWW-Authenticate`` for ``error``.

    ``scopes`` are all that the resource asks for, at once, in order. A request without a token gets no error code
    (RFC 6750 section 3.1). With ``debug`` the description goes on with which check failed and what would fix it.
    """
    fields: list[tuple[str, str]] = []
    if not isinstance(error, MissingToken):
        fields.append(("error", "insufficient_scope" if isinstance(error, Forbidden) else "invalid_token"))
    fields.append(("resource_metadata", _NOT_IN_URL.sub("", resource_metadata)))
    asked = advertised(scopes)
    if asked:
        fields.append(("scope", " ".join(asked)))
    description = describe(error, debug=debug)
    if description and not isinstance(error, MissingToken):
        fields.append(("error_description", _describe_safely(description)))
    return ("Bearer " + ", ".join(f'{name}="{value}"' for name, value in fields)).encode("ascii")


def describe(error: PorticoError, *, debug: bool) -> str:
    """Return the sentence for the caller; with ``debug`` also the hint."""
    return f"{error.public} {error.debug_hint}" if debug and error.debug_hint else error.public


def _describe_safely(text: str) -> str:
    swapped = text.replace('"', "'").replace("=", ":").replace("\\", "/")
    return _NOT_IN_DESCRIPTION.sub("?", swapped)[:MAX_DESCRIPTION_CHARS]
