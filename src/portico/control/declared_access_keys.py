"""``accessKeys[]`` of a file."""

from collections.abc import Mapping
from typing import Any, Final

from portico.control.access_keys import check_id, check_name, check_role, check_secret
from portico.control.declarations import AccessKeyDeclaration
from portico.control.reader import Reader
from portico.model.access_key import ROLES

KNOWN: Final = frozenset({"accessKeyId", "name", "role", "secret", "secretFile"})
REQUIRED: Final = frozenset({"accessKeyId", "name", "role"})


def read_access_key(reader: Reader, entry: Mapping[str, Any], path: str) -> AccessKeyDeclaration | None:
    """Read one access key; None when something of it is missing."""
    texts = reader.texts(entry, path, KNOWN, required=REQUIRED, others={"gateways"})
    gateways = reader.text_list(entry, "gateways", path)
    if "gateways" in entry and not gateways:
        reader.fault(f"{path}.gateways", "must name at least one gateway; leave it out for all of them")
    secret = reader.secret(texts, path, plain="secret", file="secretFile")
    if secret is not None:
        reader.judge(f"{path}.secret", lambda: check_secret(secret))
    for member, check in (("accessKeyId", check_id), ("name", check_name), ("role", check_role)):
        if member in texts:
            reader.judge(f"{path}.{member}", lambda check=check, member=member: check(texts[member]))
    if secret is None or not texts.keys() >= REQUIRED or texts["role"] not in ROLES:
        return None
    return AccessKeyDeclaration(
        id=texts["accessKeyId"],
        secret=secret,
        name=texts["name"],
        role=texts["role"],
        gateways=gateways,
        path=path,
    )
