"""No secret of a whole flow stands in any log: neither ours, nor the person's, nor the provider's (H10, T27)."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest
import structlog

from attacks.attack_world import AttackedWorld, Browser, FacadeWorld, ProviderWorld, query_of, with_query
from issuer.issuer_world import VERIFIER
from portico.telemetry import logs
from support.provider.identity_provider import error, html_page


@pytest.fixture
def told() -> Iterator[Callable[[], str]]:
    """Log as a process does, everything, and return what was written."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers, root.level
    logs.configure(json=True, level="debug", stream=stream)
    theirs = [logging.getLogger(name) for name in ("httpx2", "httpcore2")]  # the test's browser, no part of ours
    for logger in theirs:
        logger.setLevel("ERROR")
    yield stream.getvalue
    root.handlers, level = before
    root.setLevel(level)
    for logger in theirs:
        logger.setLevel(logging.NOTSET)
    structlog.reset_defaults()


def parts(token: str) -> list[str]:
    """Return what must not be seen of a token: itself, and its signature or its last part."""
    return [token, token.rpartition(".")[2][-40:]]


@pytest.mark.case("H10", "T27")
@pytest.mark.connector("oidc")
async def test_a_whole_flow_with_its_failures_logs_no_secret(world: ProviderWorld, client_id: str, told):
    secrets = {world.idp.client_secret, VERIFIER}
    browser = Browser(world)
    location = await world.leave(browser, client_id)
    secrets |= {query_of_url(location)[name] for name in ("state", "nonce")}
    url = await world.pass_provider(location)
    secrets.add(query_of_url(url)["code"])
    secrets |= {value for name, value in browser.http.cookies.items()}
    code = query_of(await browser.http.get(url))["code"]
    issued = (await world.redeem(client_id, code)).json()
    world.clock.forward(61)
    again = (await world.refresh(client_id, issued["refresh_token"])).json()
    for token in (code, issued["access_token"], issued["refresh_token"], again["access_token"], again["refresh_token"]):
        secrets.update(parts(token))
    await fail_in_every_way(world, client_id, again["refresh_token"], url)
    if isinstance(world, FacadeWorld):
        await world.call(again["access_token"])
        await world.call(again["refresh_token"])
        [request] = world.upstream.requests
        secrets.add(request.partition(b"Bearer ")[2].partition(b"\r\n")[0].decode())
        secrets.add(world.keys.partition(":")[2])
    for seen in world.idp.requests("token"):
        secrets |= {seen.form.get(name, "") for name in ("code", "code_verifier", "refresh_token", "client_secret")}
        secrets.add(seen.headers.get("authorization", "").partition(" ")[2])
    written = told()
    assert "login_refused" in written, "nothing was logged, so nothing was looked at"
    assert "invalid_client" in written
    assert [secret for secret in secrets if len(secret) > 8 and secret in written] == []


async def fail_in_every_way(world: ProviderWorld, client_id: str, refresh_token: str, url: str) -> None:
    """Errors are where secrets get into logs: of the provider, of the client, of the browser."""
    secret = world.idp.client_secret
    browser = Browser(world)
    await browser.http.get(url)
    for fault in (html_page(502), error("invalid_client", 401, error_description=f"wrong secret {secret}")):
        world.clock.forward(61)
        world.idp.fail("token", fault)
        await world.refresh(client_id, refresh_token)
    back = await world.captured(browser, client_id)
    world.idp.fail("token", error("invalid_grant", error_description=f"code {query_of_url(back)['code']} is over"))
    told = query_of(await browser.http.get(back))
    if "code" in told:
        await world.redeem(client_id, told["code"])
    await world.redeem(client_id, refresh_token)
    await world.refresh(client_id, refresh_token + "x")


@pytest.mark.case("B14")
@pytest.mark.connector("oidc")
async def test_the_administrator_reads_in_the_log_what_the_client_is_not_told(
    world: ProviderWorld, client_id: str, told
):
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    words = "AADSTS65001: the person has not consented"
    response = await browser.http.get(with_query(url, code=None, error="invalid_scope", error_description=words))
    assert "AADSTS" not in response.headers["location"]
    [line] = [json.loads(line) for line in told().splitlines() if "AADSTS65001" in line]
    assert (line["event"], line["error"], line["level"]) == ("login_refused", "server_error", "warning")
    assert words in line["detail"]


@pytest.mark.case("T27", "B26")
@pytest.mark.connector("local", "oidc")
async def test_no_secret_of_ours_travels_in_an_url(world: AttackedWorld, client_id: str):
    """What a browser keeps in its history: a code that is over in a minute, and nothing else."""
    browser = Browser(world)
    page = await world.consent_page(browser, client_id)
    response = await browser.submit(page, decision="allow")
    for value in (VERIFIER, *(text for _, text in browser.http.cookies.items())):
        assert value not in response.headers["location"]
    if world.kind == "oidc":
        assert world.idp.client_secret not in response.headers["location"]
        assert "code_verifier" not in response.headers["location"]


def query_of_url(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
