"""How an error is told to a client: ``error`` and ``error_description`` (RFC 6749 sections 4.1.2.1 and 5.2)."""

from typing import Final

from portico.model.errors import PorticoError

MAX_DESCRIPTION_CHARS: Final = 300


def refusal(error: PorticoError, *, code: str = "") -> dict[str, str]:
    """Return the two members, the description within the characters that the RFC allows.

    ``code`` replaces the error's own where a surface has another word for it.
    """
    return {"error": code or error.code, "error_description": _description(error.public)}


def _description(text: str) -> str:
    line = text[:MAX_DESCRIPTION_CHARS].replace('"', "'").replace("\\", "/")
    return "".join(character if " " <= character <= "~" else "?" for character in line)
