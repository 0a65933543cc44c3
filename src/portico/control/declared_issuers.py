"""``issuers[]`` of a file: settings, users, clients."""

from collections.abc import Mapping
from typing import Any, Final, cast

from portico.control.clients import check_client, check_fits, check_secret
from portico.control.connector_secrets import CONNECTORS, MEMBER
from portico.control.declarations import ClientDeclaration, IssuerDeclaration, UserDeclaration
from portico.control.reader import Reader
from portico.control.secrets import secret_hash
from portico.control.users import check_name, check_password
from portico.model.errors import ConfigError
from portico.oauth.client import ClientKind
from portico.oauth.issuer_settings import IssuerSettings, parse_issuer_settings
from portico.storage.clients import ClientRow

SHA256_DIGITS: Final = 64
SECRET_FILE: Final = "clientSecretFile"  # noqa: S105 - the name of a member

_UNREAD: Final = "unread"

_USER: Final = frozenset({"name", "password", "passwordFile", "passwordHash", "displayName", "email"})
_CLIENT: Final = frozenset({"clientId", "name", "defaultResource"})
_SECRET: Final = frozenset({"secret", "secretFile", "secretHash"})
_NO_TEXTS: Final = frozenset({"scopes", "redirectUris", "pkceRequired"})


def read_issuer(reader: Reader, entry: Mapping[str, Any], path: str) -> IssuerDeclaration | None:
    """Read one issuer; None when it has not even a name."""
    name: object = entry.get("name")
    if not isinstance(name, str):
        reader.fault(f"{path}.name", "is required" if name is None else "must be text")
        return None
    document = {key: value for key, value in entry.items() if key not in {"users", "clients", "name"}}
    document = _with_connector_secrets(reader, document, path)
    settings = _judge_settings(reader, name, document, path)
    users = [_read_user(reader, user, where) for user, where in reader.entries(entry, "users", path)]
    clients = [
        _read_client(reader, client, where, name, settings) for client, where in reader.entries(entry, "clients", path)
    ]
    return IssuerDeclaration(
        name=name,
        document=document,
        users=reader.unique(users, "name", lambda user: user.name),
        clients=reader.unique(clients, "clientId", lambda client: client.row.client_id),
        path=path,
    )


def _with_connector_secrets(reader: Reader, document: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the document with the secrets that its connectors keep in files; what is no connector is judged later."""
    connectors: object = document.get(CONNECTORS)
    if not isinstance(connectors, list):
        return dict(document)
    entries = [
        _with_secret(reader, cast("dict[str, Any]", entry), f"{path}.{CONNECTORS}[{index}]")
        if isinstance(entry, dict)
        else entry
        for index, entry in enumerate(cast("list[object]", connectors))
    ]
    return {**document, CONNECTORS: entries}


def _with_secret(reader: Reader, entry: Mapping[str, Any], path: str) -> dict[str, Any]:
    rest = {member: value for member, value in entry.items() if member != SECRET_FILE}
    name: object = entry.get(SECRET_FILE)
    if name is None:
        return rest
    if MEMBER in entry:
        reader.fault(path, f"needs only one of {MEMBER}, {SECRET_FILE}")
    elif not isinstance(name, str) or not name:
        reader.fault(f"{path}.{SECRET_FILE}", "must be text that is not empty")
    elif (text := reader.file_text(name, f"{path}.{SECRET_FILE}")) is not None:
        secret = text.rstrip("\r\n")
        if not secret:
            reader.fault(f"{path}.{SECRET_FILE}", "is empty")
        return rest | {MEMBER: secret}
    return rest | {MEMBER: _UNREAD}  # so that its absence is not a second fault


def _judge_settings(reader: Reader, name: str, document: Mapping[str, Any], path: str) -> IssuerSettings | None:
    try:
        return parse_issuer_settings(name, document)
    except ConfigError as error:
        for fault in error.faults:  # its paths begin with the issuer's name, ours with its place in the file
            reader.fault(path + fault.path.removeprefix(f"issuers.{name}"), fault.message)
        return None


def _read_user(reader: Reader, entry: Mapping[str, Any], path: str) -> UserDeclaration | None:
    texts = reader.texts(entry, path, _USER, required={"name"})
    password = reader.secret(texts, path, plain="password", file="passwordFile", hashed="passwordHash")
    if password is not None:
        reader.judge(f"{path}.password", lambda: check_password(password))
    hashed = texts.get("passwordHash", "")
    if hashed and not hashed.startswith("$argon2id$"):
        reader.fault(f"{path}.passwordHash", "must be an Argon2id hash ($argon2id$...)")
    if "name" not in texts:
        return None
    reader.judge(f"{path}.name", lambda: check_name(texts["name"]))
    return UserDeclaration(
        name=texts["name"],
        password=password,
        password_hash=hashed,
        display_name=texts.get("displayName", ""),
        email=texts.get("email", ""),
        path=path,
    )


def _read_client(
    reader: Reader, entry: Mapping[str, Any], path: str, issuer: str, settings: IssuerSettings | None
) -> ClientDeclaration | None:
    """Read a client: a machine, or with ``redirectUris`` one that people log in with, confidential with a secret."""
    for_people, secretive = "redirectUris" in entry, bool(_SECRET & entry.keys())
    required = {"clientId"} if for_people else {"name"}
    others = _NO_TEXTS if for_people else _NO_TEXTS - {"pkceRequired"}
    texts = reader.texts(entry, path, _CLIENT | _SECRET, required=required, others=others)
    stored = _secret_hash(reader, texts, path) if secretive or not for_people else ""
    redirect_uris = reader.text_list(entry, "redirectUris", path)
    scopes = reader.text_list(entry, "scopes", path)
    pkce_required = reader.flag(entry, "pkceRequired", path, default=True)
    if not required <= texts.keys():
        return None
    person_kind: ClientKind = "confidential" if secretive else "public"
    row = ClientRow(
        issuer=issuer,
        client_id=texts.get("clientId") or texts["name"],
        kind=person_kind if for_people else "machine",
        name=texts.get("name") or texts["clientId"],
        secret_hash=stored,
        redirect_uris=redirect_uris,
        scopes=scopes,
        default_resource=texts.get("defaultResource", ""),
        pkce_required=pkce_required,
        created_at=0,
    )
    reader.judge(path, lambda: check_client(row))
    if settings is not None:
        reader.judge(path, lambda: check_fits(row, settings))
    return ClientDeclaration(row=row, path=path)


def _secret_hash(reader: Reader, texts: Mapping[str, str], path: str) -> str:
    secret = reader.secret(texts, path, plain="secret", file="secretFile", hashed="secretHash")
    if secret is not None:
        reader.judge(f"{path}.secret", lambda: check_secret(secret))
        return secret_hash(secret)
    hashed = texts.get("secretHash", "")
    if hashed and (len(hashed) != SHA256_DIGITS or set(hashed) - set("0123456789abcdef")):
        reader.fault(f"{path}.secretHash", "must be the SHA-256 of the secret in 64 lower-case hex digits")
    return hashed
