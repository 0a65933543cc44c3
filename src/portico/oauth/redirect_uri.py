"""Which redirect URIs exist: loopback ones by rule, everything else by an exact list.

A redirect URI is judged as the text that was sent, never through a lenient URL parser: what two parsers read
differently is how codes reach the wrong host (RFC 9700 section 4.1). Loopback ones may name any port at the time of
the request (RFC 8252 section 7.3); nothing else of a URI may differ from its registration.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

MAX_REDIRECT_URI_CHARS: Final = 512
MAX_PORT: Final = 65_535

#: Schemes that run or read something instead of handing the code to an application (CWE-79, CWE-601).
DANGEROUS_SCHEMES: Final = frozenset(
    {
        *("about", "blob", "chrome", "chrome-extension", "data", "file", "filesystem", "ftp", "intent", "jar"),
        *("javascript", "mailto", "moz-extension", "ms-appx", "resource", "sms", "tel", "urn", "vbscript"),
        *("view-source", "ws", "wss"),
    }
)

_REST = r"(?:/[A-Za-z0-9\-._~!$&'()*+,;=:@/%]*)?(?:\?[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]*)?"
_PORT = r"(?::([1-9][0-9]{0,4}))?"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_LOOPBACK = re.compile(rf"http://(localhost|127\.0\.0\.1|\[::1\]){_PORT}({_REST})\Z", re.ASCII)
_HTTPS = re.compile(rf"https://((?:{_LABEL}\.){{0,20}}{_LABEL}){_PORT}{_REST}\Z", re.ASCII)
_PRIVATE = re.compile(r"([a-z][a-z0-9+.\-]{1,63}):[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]+\Z", re.ASCII)
_CONTROL_ESCAPE = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff])")
_MALFORMED_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOT_SEGMENT = re.compile(r"/(?:\.|%2[Ee]){1,2}(?:[/?]|\Z)")

Kind = Literal["loopback", "other", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loopback:
    """A parsed loopback redirect URI."""

    host: str  #: ``localhost``, ``127.0.0.1`` or ``[::1]``
    port: int | None
    rest: str  #: path and query as sent


def parse_loopback(uri: str) -> Loopback | None:
    """Return the parts of a well-formed loopback redirect URI, None when it is anything else."""
    found = None if _malformed(uri) else _LOOPBACK.match(uri)
    if found is None or int(found[2] or 1) > MAX_PORT:
        return None
    return Loopback(host=found[1], port=int(found[2]) if found[2] else None, rest=found[3])


def kind_of(uri: str) -> Kind:
    """Tell loopback URIs, others that an allow-list may name (https, private-use schemes), and what is never used."""
    if parse_loopback(uri) is not None:
        return "loopback"
    if _malformed(uri):
        return "refused"
    secure = _HTTPS.match(uri)
    if secure is not None:
        return "other" if int(secure[2] or 1) <= MAX_PORT else "refused"
    private = _PRIVATE.match(uri)
    if private is None or private[1] in {"http", "https"} or private[1] in DANGEROUS_SCHEMES:
        return "refused"
    return "other"


def usable(uri: str, allowed: frozenset[str]) -> bool:
    """Tell whether a code may be sent to ``uri``: loopback, or byte for byte on the list."""
    return kind_of(uri) == "loopback" or (uri in allowed and kind_of(uri) == "other")


def matches(registered: str, requested: str) -> bool:
    """Compare a requested redirect URI with a registered one: equal but for the port of loopback ones."""
    if registered == requested:
        return True
    one, other = parse_loopback(registered), parse_loopback(requested)
    return one is not None and other is not None and (one.host, one.rest) == (other.host, other.rest)


def host_of(uri: str) -> str:
    """Return what a person recognizes of a usable redirect URI: host and port, or the private-use scheme."""
    scheme, _, rest = uri.partition("://")
    if scheme in {"http", "https"}:
        return re.split(r"[/?]", rest, maxsplit=1)[0]
    return uri.partition(":")[0] + ":"


def _malformed(uri: str) -> bool:
    """Find what is in no usable URI: too long, fragments, back-steps, escaped control characters (CWE-113)."""
    return (
        len(uri) > MAX_REDIRECT_URI_CHARS
        or "#" in uri
        or _CONTROL_ESCAPE.search(uri) is not None
        or _MALFORMED_ESCAPE.search(uri) is not None
        or _DOT_SEGMENT.search(uri) is not None
    )
