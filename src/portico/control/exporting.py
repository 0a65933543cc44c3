"""Writing what is stored as a file that ``apply`` takes. Pure.

No secret is written. Where one belongs stands a reference that has to be filled before the file can be applied: to a
variable of the environment, or to a file. What a file cannot declare is named and left out.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from portico.control.connector_secrets import CONNECTORS, MEMBER
from portico.control.resources import Kind, Resource

#: Kind → the file's list.
_LISTS: Final[Mapping[Kind, str]] = {
    "issuer": "issuers",
    "user": "users",
    "client": "clients",
    "OAuth2 credential provider": "oauth2CredentialProviders",
    "API key credential provider": "apiKeyCredentialProviders",
    "workload identity": "workloadIdentities",
    "gateway": "gateways",
    "target": "targets",
    "access key": "accessKeys",
}
#: Kind → how the variables and files of its secrets begin.
_SECRETS: Final[Mapping[Kind, str]] = {
    "issuer": "connector",
    "user": "password",
    "client": "client",
    "OAuth2 credential provider": "oauth2",
    "API key credential provider": "api-key",
    "access key": "access-key",
}
_REFERENCE: Final = "${env:"  #: texts that begin so are read from the environment
_UNSAFE = re.compile(r"[^A-Za-z0-9_.@-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingSecret:
    """A secret that has to be given to the file."""

    kind: Kind
    name: str
    place: str  #: the variable or the file that has to hold it


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Something that could not be taken along: a resource, or a ``member`` of it."""

    kind: str
    name: str
    why: str
    member: str = ""

    def __str__(self) -> str:
        what = f"without {self.member}" if self.member else "left out"
        return f"{self.kind} {self.name}: {what}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A file's document, and what has to be known about it."""

    document: Mapping[str, Any]
    missing: tuple[MissingSecret, ...]
    left_out: tuple[LeftOut, ...]


def export(resources: Sequence[Resource], *, secret_files: str = "", with_hashes: bool = False) -> Export:
    """Return the file of these resources.

    Secrets are referred to in the environment, or with ``secret_files`` in files of that directory. With
    ``with_hashes`` those of users and machines, of which only a hash is stored, are given by it.
    """
    writer = _Writer(secret_files=secret_files, with_hashes=with_hashes)
    writer.write(resources)
    return Export(document=writer.document, missing=tuple(writer.missing), left_out=tuple(writer.left_out))


@dataclass(slots=True)
class _Writer:
    secret_files: str
    with_hashes: bool
    document: dict[str, Any] = field(default_factory=dict[str, Any])
    missing: list[MissingSecret] = field(default_factory=list[MissingSecret])
    left_out: list[LeftOut] = field(default_factory=list[LeftOut])
    places: set[str] = field(default_factory=set[str])

    def write(self, resources: Sequence[Resource]) -> None:
        owners: dict[str, dict[str, Any]] = {}
        for resource in resources:
            why = resource.undeclarable or _reference_in(resource.document)
            above = owners.get(resource.of) if resource.of else self.document
            if not why and above is None:
                why = "what it belongs to was left out"
            if why or above is None:
                self.left_out.append(LeftOut(kind=resource.kind, name=resource.label, why=why))
                continue
            entry: dict[str, Any] = {**resource.document, **self._secret(resource)}
            if resource.connectors:
                entry[CONNECTORS] = [self._connector(resource, connector) for connector in entry[CONNECTORS]]
            above.setdefault(_LISTS[resource.kind], []).append(entry)
            if resource.kind in {"issuer", "gateway"}:
                owners[resource.name] = entry

    def _secret(self, resource: Resource) -> Mapping[str, str]:
        if not resource.secret or resource.connectors:
            return {}
        if self.with_hashes and resource.hashed is not None:
            return resource.hashed
        plain = "password" if resource.kind == "user" else "secret"
        return self._given(resource.kind, resource.label, plain)

    def _connector(self, issuer: Resource, connector: Mapping[str, Any]) -> Mapping[str, Any]:
        name: str = connector["name"]
        if name not in issuer.connectors:
            return connector
        return {**connector, **self._given(issuer.kind, f"{issuer.name}/{name}", MEMBER)}

    def _given(self, kind: Kind, label: str, member: str) -> Mapping[str, str]:
        """Return the member that refers to a secret, and note that it has to be given."""
        name = f"{_SECRETS[kind]}-{_UNSAFE.sub('-', label)}"
        if self.secret_files:
            place = self._unique(f"{self.secret_files.rstrip('/')}/{name}")
            given = {f"{member}File": place}
        else:
            place = self._unique(re.sub(r"[^A-Z0-9]", "_", f"portico_secret_{name}".upper()))
            given = {member: f"{_REFERENCE}{place}}}"}
        self.missing.append(MissingSecret(kind=kind, name=label, place=place))
        return given

    def _unique(self, place: str) -> str:
        found, number = place, 1
        while found in self.places:
            number += 1
            found = f"{place}_{number}"
        self.places.add(found)
        return found


def _reference_in(document: Mapping[str, Any]) -> str:
    """Say why a document cannot stand in a file: a text of somebody's could name one of our variables."""
    if any(_REFERENCE in text for text in _texts(document)):
        return "a text in it would be read as a reference to the environment"
    return ""


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for name, entry in value.items():  # pyright: ignore[reportUnknownVariableType] - free-form JSON
                yield str(name)  # pyright: ignore[reportUnknownArgumentType] - likewise
                yield from _texts(entry)
        case list():
            for entry in value:  # pyright: ignore[reportUnknownVariableType] - likewise
                yield from _texts(entry)
        case _:
            return
