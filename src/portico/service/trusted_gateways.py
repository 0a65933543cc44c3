"""Which gateways trust which issuer: what the issuer may give tokens for, and what key fetches are allowed."""

from urllib.parse import urlsplit

from portico.control.relaxations import LOOPBACK_HOSTS, Ground
from portico.gateway.snapshot import ALL_TARGETS
from portico.gateway.store import Live, Snapshots
from portico.model.gateway import JwtAuthorizer


class TrustedGateways:
    """Answers out of the snapshots in memory."""

    def __init__(self, snapshots: Snapshots, *, public_url: str) -> None:
        self._snapshots = snapshots
        self._ground = Ground(public_url=public_url)

    def of_issuer(self, issuer_url: str) -> list[str]:
        """Return the resources of the gateways that trust one of our issuers."""
        return [
            _resource(live)
            for live in self._snapshots.all()
            if (rules := _rules(live)) is not None
            and (name := self._ground.own_issuer(rules.discovery_url)) is not None
            and self._ground.issuer_url(name) == issuer_url
        ]

    def name_of(self, resource: str) -> str:
        """Return what people call the gateway of a resource, or of one of its targets; empty when unknown."""
        for live in self._snapshots.all():
            if any(endpoint.resource == resource for endpoint in live.snapshot.endpoints.values()):
                return live.snapshot.gateway.name
        return ""

    def id_of(self, name: str) -> str:
        """Return the id of the gateway of that name, empty when there is none."""
        served = (live.snapshot.gateway for live in self._snapshots.all())
        return next((gateway.id for gateway in served if gateway.name == name), "")

    def allows_private(self, discovery_url: str) -> bool:
        """Say whether keys may be fetched from a private address: loopback by its name, else if a gateway says so."""
        if urlsplit(discovery_url).hostname in LOOPBACK_HOSTS:
            return True
        return any(
            live.snapshot.gateway.allow_private_issuer
            for live in self._snapshots.all()
            if (rules := _rules(live)) is not None and rules.discovery_url == discovery_url
        )


def _rules(live: Live) -> JwtAuthorizer | None:
    rules = live.snapshot.gateway.authorizer
    return rules if isinstance(rules, JwtAuthorizer) else None


def _resource(live: Live) -> str:
    return live.snapshot.endpoints[ALL_TARGETS].resource
