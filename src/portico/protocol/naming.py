"""Tool names of a gateway: ``target___tool``.

A target's name holds no underscore, so the first ``___`` splits, whatever the tool is called (AgentCore devguide,
gateway-tool-naming).
"""

from typing import Final

SEPARATOR: Final = "___"
MAX_NAME_CHARS: Final = 256  #: of a whole name (AgentCore quota; clients may bear less)


def join(target: str, tool: str) -> str:
    """Return the gateway's name of a target's tool."""
    return f"{target}{SEPARATOR}{tool}"


def split(name: str) -> tuple[str, str]:
    """Return target and tool of a gateway's tool name; the target is empty when there is no separator."""
    target, separator, tool = name.partition(SEPARATOR)
    return (target, tool) if separator else ("", name)
