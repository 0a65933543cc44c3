"""Which resource a token is for (RFC 8707): exactly one gateway, or one of its per-target endpoints."""

import re
from collections.abc import Sequence

from portico.model.errors import InputError
from portico.model.oauth_errors import InvalidTarget
from portico.oauth.resource import canonical_resource

_TARGET = re.compile(r"/[0-9A-Za-z-]{1,100}\Z", re.ASCII)


def choose_resource(asked: Sequence[str], *, default: str, resources: Sequence[str]) -> str:
    """Return the resource that a token is to be issued for.

    ``resources`` are the gateways that trust the issuer, in the form that their metadata has; ``default`` is the
    client's own. A request without ``resource`` gets the client's default, else the only gateway there is.

    Raises:
        InvalidTarget: several were asked for, it is not one of ours, or the choice is not clear.
    """
    if len(asked) > 1:
        raise InvalidTarget("Only one resource may be asked for at a time.")
    if asked:
        return _known(asked[0], resources)
    if default:
        return _known(default, resources)
    gateways = [one for one in resources if not any(one != other and _is_target(one, other) for other in resources)]
    if len(gateways) == 1:
        return gateways[0]
    if not gateways:
        raise InvalidTarget("No gateway trusts this issuer yet; name it in a gateway's discoveryUrl first.")
    raise InvalidTarget(f"Say which resource the token is for: {' '.join(gateways)}")


def same_resource(asked: Sequence[str], authorized: str) -> None:
    """Check the ``resource`` of a token request against the authorized one; it may be left out (RFC 8707 section 2.2).

    Raises:
        InvalidTarget: it is another, or more than one.
    """
    if any(_canonical(resource) != authorized for resource in asked):
        raise InvalidTarget("resource is not the one that was authorized.")


def _known(resource: str, resources: Sequence[str]) -> str:
    canonical = _canonical(resource)
    if canonical in resources or any(_is_target(canonical, gateway) for gateway in resources):
        return canonical
    raise InvalidTarget("resource is not a gateway that trusts this issuer; use the URL of its MCP endpoint.")


def _is_target(resource: str, gateway: str) -> bool:
    return resource.startswith(gateway) and _TARGET.match(resource[len(gateway) :]) is not None


def _canonical(resource: str) -> str:
    try:
        return canonical_resource(resource)
    except InputError as error:
        raise InvalidTarget(error.public) from error
