"""Which operations of the AgentCore API Portico offers, each with the function that does it."""

from collections.abc import Mapping
from typing import Final

from portico.control.operations.context import Operation

#: By name. Everything else of the model is refused, with a reason (:mod:`portico.control.api.refused`).
OFFERED: Final[Mapping[str, Operation]] = {}
