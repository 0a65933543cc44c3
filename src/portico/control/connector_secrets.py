"""The client secrets of an issuer's connectors: sealed in its document, and in no diff, export or audit record.

A document comes with them in the clear, out of a file, and is stored with each sealed for its issuer and connector, so
that one that is moved to another place in the database opens nowhere. Sealing is random: whether a secret is the same
as before is asked of what the seals hold.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from portico.control.secrets import Random
from portico.crypto.keyring import Keyring
from portico.model.errors import SealError
from portico.model.secret import Secret
from portico.oauth.connector_settings import CONNECTOR_SECRET

MEMBER: Final = "clientSecret"  #: of a connector
CONNECTORS: Final = "connectors"  #: of an issuer's document

_Replace = Callable[[str, str], str]  #: (connector, its secret) → what stands there instead


def seal_document(
    keyring: Keyring,
    issuer: str,
    document: Mapping[str, Any],
    stored: Mapping[str, Any] | None = None,
    *,
    random: Random = os.urandom,
) -> dict[str, Any]:
    """Return ``document`` with the secrets of its connectors sealed.

    A secret that is ``stored`` already keeps its seal, unless that is of an older key: so a document that says the
    same is the same, and old keys come out of use.
    """
    kept = _kept(keyring, issuer, stored or {})

    def sealed(name: str, secret: str) -> str:
        if name in kept and kept[name][1] == Secret(secret):
            return kept[name][0]
        return keyring.seal(CONNECTOR_SECRET, secret.encode(), aad=_aad(issuer, name), random=random)

    return _with_secrets(document, sealed)


def digestible(keyring: Keyring, issuer: str, document: Mapping[str, Any]) -> dict[str, str]:
    """Return by connector what its secret can be compared by: itself, or its seal where that cannot be opened."""
    found: dict[str, str] = {}
    for name, sealed in _secrets_in(document).items():
        secret = _opened(keyring, issuer, name, sealed)
        found[name] = sealed if secret is None else secret.reveal()
    return found


def without_secrets(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``document`` as it may be shown."""
    return _with_secrets(document, lambda _name, _secret: "")


def same_but_for_seals(keyring: Keyring, issuer: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Say whether two stored documents say the same."""
    if without_secrets(one) != without_secrets(other):
        return False
    return digestible(keyring, issuer, one) == digestible(keyring, issuer, other)


def _kept(keyring: Keyring, issuer: str, stored: Mapping[str, Any]) -> dict[str, tuple[str, Secret]]:
    """Return by connector the seals that stay good, with what they hold."""
    newest = f"v1.{keyring.kids[0]}."
    found: dict[str, tuple[str, Secret]] = {}
    for name, sealed in _secrets_in(stored).items():
        secret = _opened(keyring, issuer, name, sealed) if sealed.startswith(newest) else None
        if secret is not None:
            found[name] = (sealed, secret)
    return found


def _opened(keyring: Keyring, issuer: str, name: str, sealed: str) -> Secret | None:
    try:
        return Secret(keyring.open(CONNECTOR_SECRET, sealed, aad=_aad(issuer, name)).decode())
    except SealError:  # its key left the keyring: whatever is given instead is a change
        return None


def _aad(issuer: str, name: str) -> bytes:
    return f"{issuer}|{name}".encode()


def _secrets_in(document: Mapping[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry[MEMBER] for entry in _connectors(document) if entry.get(MEMBER)}


def _with_secrets(document: Mapping[str, Any], replaced: _Replace) -> dict[str, Any]:
    """Return ``document`` with every secret replaced; by nothing: without the member."""
    if CONNECTORS not in document:
        return dict(document)
    entries: list[dict[str, Any]] = []
    for entry in _connectors(document):
        copy = {member: value for member, value in entry.items() if member != MEMBER}
        secret = replaced(entry["name"], entry[MEMBER]) if entry.get(MEMBER) else ""
        entries.append(copy | ({MEMBER: secret} if secret else {}))
    return {**document, CONNECTORS: entries}


def _connectors(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the connectors of a document that was judged before."""
    return cast("list[Mapping[str, Any]]", document.get(CONNECTORS) or [])
