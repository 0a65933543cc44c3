"""``x-portico``: checks the extension documents of gateways and targets, every fault at once."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from portico.control.shapes import member_path
from portico.model.documents import GatewayExtension, TargetExtension
from portico.model.errors import Fault


def extension_faults(
    extension: Mapping[str, Any], kind: type[GatewayExtension | TargetExtension], path: str
) -> list[Fault]:
    """Return everything that is wrong with an extension document."""
    return list(_faults(extension, kind, path))


def _faults(extension: Mapping[str, Any], kind: type[GatewayExtension | TargetExtension], path: str) -> Iterator[Fault]:
    known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name, value in extension.items():
        here = member_path(path, name)
        if name not in known:
            yield Fault(path=here, message=f"is not known here; known are: {', '.join(sorted(known))}")
            continue
        try:
            msgspec.convert(value, known[name].type)
        except msgspec.ValidationError as error:
            yield Fault(path=here, message=_sentence(str(error)))


def _sentence(reason: str) -> str:
    """Turn msgspec's «Expected `int` >= 1 - at `$[0]`» into the house's form; it holds types, never values."""
    return reason.partition(" - at ")[0].replace("Expected", "must be", 1).replace("`", "")
