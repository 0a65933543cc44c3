"""Which tags a resource may have. Pure."""

from collections.abc import Mapping
from typing import Final

from portico.model.errors import Fault, QuotaExceeded

MANAGED_TAG: Final = "portico:managed-by"  #: shown, never stored: the file that manages a resource
RESERVED: Final = ("aws:", "portico:")  #: beginnings of keys that nobody can set


def tag_faults(tags: Mapping[str, object], path: str = "tags") -> list[Fault]:
    """Return for what tags are refused that somebody wants to set, beyond what the service model says of them."""
    message = f"must not begin with {' or '.join(RESERVED)}"
    return [Fault(path=f"{path}[{key!r}]", message=message) for key in tags if key.lower().startswith(RESERVED)]


def ensure_tags(wanted: Mapping[str, str], quota: int) -> None:
    """Make sure that a resource may have these tags.

    Raises:
        QuotaExceeded: they are too many.
    """
    if len(wanted) > quota:
        raise QuotaExceeded(
            f"A resource may have no more than {quota} tags; the setting quotas.tags_per_resource raises that."
        )
