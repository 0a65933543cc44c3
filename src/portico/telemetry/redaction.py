"""Secrets leave no trace in a log: redaction by the name of a field and by the look of a value.

A log call should not be given a secret in the first place (``model.secret.Secret`` prints as stars); this is the
second line, for exception texts, third-party loggers and mistakes. All patterns are anchored to a fixed start and
linear in the text.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

STARS: Final = "********"
MAX_DEPTH: Final = 6  #: levels of a logged value that are looked into; deeper ones are not logged
MAX_TEXT: Final = 16_384  #: characters of one logged text; longer ones are cut

#: Field names whose value is never logged, whatever it looks like.
_NAMES = re.compile(
    r"(?i)(^|_)(authorization|cookies?|passwords?|passphrase|secrets?|tokens?|assertion|verifier|api_?key"
    r"|private_?key|credentials?|session_?id|codes?)$"
)
_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|-")  # clientSecret, Set-Cookie
#: An error's code or a status; an authorization code looks otherwise.
_HARMLESS_CODE = re.compile(r"-?[0-9]{1,6}|[a-z]{1,24}(_[a-z]{1,24}){0,4}")
_VALUES: Final = (
    re.compile(r"(?i)\b(bearer|basic|dpop)\s+[A-Za-z0-9._~+/-]{8,}=*"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"),  # a JWT, cut or whole
    re.compile(r"\bv1\.[A-Za-z0-9_-]{1,32}\.[A-Za-z0-9_-]{16,}"),  # sealed by our keyring
    re.compile(r"\bportico_[A-Za-z0-9_]{0,16}[A-Za-z0-9_-]{20,}"),  # our client secrets
    re.compile(r"(?<=://)[^\s/@:\"']{0,256}:[^\s/@\"']{1,1024}(?=@)"),  # user and password of a URL
    re.compile(r"\$argon2[a-z]{1,2}\$[A-Za-z0-9$=,+/-]+"),
)
_PARAMETERS = re.compile(
    r"(?i)\b(code|state|access_token|refresh_token|id_token|token|client_secret|password|code_verifier|assertion"
    r"|request_uri)(=|\"\s{0,4}:\s{0,4}\")[^&\s\"'<>#]+"
)


def redact_text(text: str) -> str:
    """Return ``text`` without what looks like a token, a sealed value, a hash or a secret parameter."""
    cut = text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "..."
    for pattern in _VALUES:
        cut = pattern.sub(STARS, cut)
    return _PARAMETERS.sub(lambda found: f"{found[1]}{found[2]}{STARS}", cut)


def redact(value: Any, depth: int = 0) -> Any:
    """Return ``value`` as it may be logged; mappings and sequences are copied."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth >= MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        fields = cast("Mapping[object, Any]", value)
        return {str(key): redact_field(str(key), item, depth + 1) for key, item in fields.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth + 1) for item in cast("list[Any]", value)]
    text = bytes(value).decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)
    return redact_text(text)


def redact_field(name: str, value: Any, depth: int = 0) -> Any:
    """Return the value of the field ``name`` as it may be logged."""
    found = _NAMES.search(_WORD_BREAK.sub("_", name)) if value else None
    if found is not None and not (found[2].lower() == "code" and _HARMLESS_CODE.fullmatch(str(value))):
        return STARS
    return redact(value, depth)
