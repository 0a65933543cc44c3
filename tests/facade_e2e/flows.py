"""What the flows of all clients have in common."""

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from support.provider.facade_rig import FacadeRig
from support.provider.identity_provider import PROFILES

BOUND = 60.0  #: seconds that a token may take to end and be replaced, on a busy machine
PAUSE = 0.2  #: seconds between two looks at whether it was
SHORT = 8  #: seconds that the provider's tokens hold where a client has to refresh: half of it, as we say it
#: Providers whose tokens a client may bear itself: those of Google open Google, and Entra's are for another resource.
PASSTHROUGH = ("cognito", "okta", "strict")
ASKS_AGAIN = ("okta", "google", "strict")  #: providers that give a refresh token for ``prompt=consent`` only

_TITLE = re.compile(r"<title>(.*?)</title>")


def facades(tokens: str = "wrap", profiles: Sequence[str] = PROFILES) -> pytest.MarkDecorator:
    """Run a test before each of these providers."""
    return pytest.mark.parametrize(
        "running",
        [
            pytest.param(
                (profile, tokens), id=f"{profile}-{tokens}", marks=pytest.mark.xdist_group(f"facade-{profile}")
            )
            for profile in profiles
        ],
        indirect=True,
    )


def both_modes() -> pytest.MarkDecorator:
    """Run a test in `wrap` before every provider, and in `passthrough` where a client may bear its tokens."""
    wrap, passthrough = facades().args[1], facades("passthrough", PASSTHROUGH).args[1]
    return pytest.mark.parametrize("running", [*wrap, *passthrough], indirect=True)


def grants(rig: FacadeRig) -> list[str]:
    """Return the grant types that the provider was asked for, in order, those that it refused too."""
    return [seen.form["grant_type"] for seen in rig.idp.requests("token")]


async def until_refreshed(rig: FacadeRig, call: Callable[[], Awaitable[Any]]) -> Any:
    """Go on calling until the provider was asked to refresh; return what the call after that gave."""
    async with asyncio.timeout(BOUND):
        while "refresh_token" not in grants(rig):
            await call()
            await asyncio.sleep(PAUSE)
    return await call()


def check_pages(rig: FacadeRig, pages: list[str], *names: str) -> None:
    """Fail unless one login led over our consent page, the provider's login page, and its own consent page if any."""
    asked = ["Provider: allow access"] if rig.idp.profile in ASKS_AGAIN else []
    ours, *theirs = [_TITLE.findall(page)[0] for page in pages]
    assert ours.startswith("Allow access")
    assert theirs == ["Provider: log in", *asked]
    for name in names:
        assert name in pages[0]


def check_manners(rig: FacadeRig) -> None:
    """Fail unless the provider was asked in the way that it wants."""
    [asked] = [seen.query for seen in rig.idp.requests("authorization")]
    told = [asked, *(seen.form for seen in rig.idp.requests("token"))]
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"{rig.issuer}/callback"
    assert set(rig.idp.api_scopes) <= set(asked["scope"].split()) or rig.idp.profile == "google"
    resources: list[Any] = [parameters.get("resource") for parameters in told]
    if rig.idp.profile == "strict":
        assert set(resources) == {rig.mcp_url}
    else:
        assert set(resources) == {None}, "this provider does not know RFC 8707"
    assert ("offline_access" in asked["scope"].split()) == (rig.idp.profile in ("entra", "okta", "strict"))
    assert (asked.get("access_type") == "offline") == (rig.idp.profile == "google")
    assert (asked.get("prompt") == "consent") == (rig.idp.profile in ASKS_AGAIN)


def check_alternation(rig: FacadeRig) -> None:
    """Fail unless no two requests in a row reached the same replica, and all steps of the login were among them."""
    ports = [port for port, _line in rig.proxy.seen]
    assert all(one != other for one, other in itertools.pairwise(ports))
    paths = {line.split(" ")[1].partition("?")[0] for _port, line in rig.proxy.seen}
    assert {"/register", "/authorize", "/consent", "/callback", "/token", "/mcp"} <= paths
