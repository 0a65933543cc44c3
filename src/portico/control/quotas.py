"""How much of everything there may be: settings ``quotas.*``, with AWS's numbers as defaults.

Source: developer guide, page bedrock-agentcore-limits; ``tags_per_resource`` is the service model's ``TagsMap``.
Rates of API calls are not among them: nobody else shares this control plane.
"""

from dataclasses import dataclass
from typing import Final

from portico.model.errors import QuotaExceeded

MAX_QUOTA: Final = 10_000_000  #: that a setting may say


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """The bounds that operations enforce; each is the setting ``quotas.<name>``."""

    gateways: int = 1000
    targets_per_gateway: int = 100
    tools_per_target: int = 1000
    inline_schema_bytes: int = 1024 * 1024
    tags_per_resource: int = 50
    workload_identities: int = 11_000  #: those made with gateways do not count
    oauth2_providers: int = 50
    api_key_providers: int = 50


DEFAULT_QUOTAS: Final = Quotas()


def ensure_room(count: int, quota: int, *, setting: str, of: str) -> None:
    """Make sure that one more of something may be made when there are ``count``.

    Raises:
        QuotaExceeded: there are as many as ``quota`` allows.
    """
    if count >= quota:
        raise QuotaExceeded(f"There may be no more than {quota} {of}; the setting quotas.{setting} raises that.")
