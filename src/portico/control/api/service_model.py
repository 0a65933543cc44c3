"""Which operation a request asks for: method and path against both planes of the AgentCore API.

Both planes have 250 pairs of method and path template, and no two of them can match the same request, so that one port
serves both. A path is taken apart as it was sent: ARNs travel percent-encoded in one segment, slashes included.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from portico.control.shapes import SERVICE, Shapes, load_model

CONTROL_PLANE: Final = SERVICE
DATA_PLANE: Final = "bedrock-agentcore"
PLANES: Final = (CONTROL_PLANE, DATA_PLANE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelledOperation:
    """An operation as its plane's model describes it."""

    name: str
    plane: str
    method: str
    template: str  #: of the path, for example ``/gateways/{gatewayIdentifier}/``
    status: int  #: of a successful answer
    readonly: bool  #: changes nothing
    input_shape: str
    output_shape: str
    shapes: Shapes = field(repr=False)  #: of its plane

    @property
    def input_members(self) -> Mapping[str, Mapping[str, Any]]:
        """The members of the input."""
        return self.shapes[self.input_shape].get("members", {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An operation, and what stands in the labels of its path: as sent, still percent-encoded."""

    operation: ModelledOperation
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    segments: tuple[str, ...]
    operation: ModelledOperation

    def labels_of(self, segments: tuple[str, ...]) -> dict[str, str] | None:
        labels: dict[str, str] = {}
        for expected, found in zip(self.segments, segments, strict=True):
            if expected.startswith("{"):
                labels[expected[1:-1]] = found
            elif expected != found:
                return None
        return labels


class ServiceModel:
    """The operations of both planes, found by name and by request."""

    def __init__(self, operations: Iterable[ModelledOperation]) -> None:
        self.operations: Mapping[str, ModelledOperation] = {found.name: found for found in operations}
        self._templates: dict[tuple[str, int], list[_Template]] = {}
        for operation in self.operations.values():
            segments = _segments(operation.template)
            known = self._templates.setdefault((operation.method, len(segments)), [])
            known.append(_Template(segments=segments, operation=operation))

    @classmethod
    def load(cls) -> "ServiceModel":
        """Read both planes' models; some 500 ms, so call it in a thread."""
        return cls(found for plane in PLANES for found in _operations(plane))

    def match(self, method: str, raw_path: bytes) -> Route | None:
        """Return what a request asks for, None when its path is nobody's.

        ``raw_path`` is the path as it was sent. One slash at its end makes no difference.
        """
        try:
            segments = _segments(raw_path.decode("ascii"))
        except UnicodeDecodeError:
            return None
        for template in self._templates.get((method, len(segments)), ()):
            labels = template.labels_of(segments)
            if labels is not None:
                return Route(operation=template.operation, labels=labels)
        return None


def _segments(path: str) -> tuple[str, ...]:
    return tuple(path.removesuffix("/").split("/"))


def _operations(plane: str) -> Iterable[ModelledOperation]:
    model = load_model(plane)
    for name, operation in model["operations"].items():
        http = operation["http"]
        yield ModelledOperation(
            name=name,
            plane=plane,
            method=http["method"],
            template=http["requestUri"],
            status=http["responseCode"],
            readonly=operation.get("readonly", False),
            input_shape=operation["input"]["shape"],
            output_shape=operation["output"]["shape"],
            shapes=model["shapes"],
        )
