"""A value that must not be printed."""

import hmac
from typing import Final

_STARS: Final = "********"


class Secret:
    """A secret text: prints as stars everywhere, read only through :meth:`reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the clear text. The one place to look for when auditing who reads secrets."""
        return self._value

    def matches(self, candidate: str) -> bool:
        """Compare in constant time (CWE-208)."""
        return hmac.compare_digest(self._value.encode(), candidate.encode())

    def __repr__(self) -> str:
        return _STARS

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.matches(other.reveal())

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)
