"""``gateways[]`` of a file: AWS's documents with ``x-portico`` and ``targets`` beside their members."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from portico.control.declarations import GatewayDeclaration, TargetDeclaration
from portico.control.documents import EXTENSION_KEY, gateway_faults, target_faults
from portico.control.quotas import Quotas
from portico.control.reader import Reader
from portico.control.relaxations import Ground
from portico.net.egress import Egress


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What documents are judged against."""

    ground: Ground
    egress: Egress
    quotas: Quotas


def read_gateway(reader: Reader, entry: Mapping[str, Any], path: str, bounds: Bounds) -> GatewayDeclaration | None:
    """Read one gateway with its targets; None when it has not even a name."""
    document, extension = _split(reader, entry, path, beside=frozenset({"targets"}))
    reader.faults += gateway_faults(document, extension, ground=bounds.ground, path=path)
    targets = [
        _read_target(reader, target, where, bounds, gateway=document)
        for target, where in reader.entries(entry, "targets", path)
    ]
    declared = reader.unique(targets, "name", lambda target: target.name)
    if not isinstance(document.get("name"), str):
        return None
    return GatewayDeclaration(document=document, extension=extension, targets=declared, path=path)


def _read_target(
    reader: Reader, entry: Mapping[str, Any], path: str, bounds: Bounds, *, gateway: Mapping[str, Any]
) -> TargetDeclaration | None:
    document, extension = _split(reader, entry, path)
    reader.faults += target_faults(
        document, extension, egress=bounds.egress, gateway=gateway, quotas=bounds.quotas, path=path
    )
    ca_file: object = extension.get("caFile")
    if isinstance(ca_file, str) and ca_file:
        reader.file_text(ca_file, f"{path}.{EXTENSION_KEY}.caFile")
    if not isinstance(document.get("name"), str):
        return None
    return TargetDeclaration(document=document, extension=extension, path=path)


def _split(
    reader: Reader, entry: Mapping[str, Any], path: str, *, beside: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part an entry into AWS's document and ours."""
    document = {key: value for key, value in entry.items() if key != EXTENSION_KEY and key not in beside}
    extension: object = entry.get(EXTENSION_KEY, {})
    if isinstance(extension, dict):
        return document, cast("dict[str, Any]", extension)
    reader.fault(f"{path}.{EXTENSION_KEY}", "must be an object")
    return document, {}
