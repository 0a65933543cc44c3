"""Whatever comes to the callback: never a fault of ours, never a redirect but to where the flow was to end."""

from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attacks.attack_world import Browser, ProviderWorld, planted, with_query
from issuer.issuer_world import REDIRECT

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

NAMES = st.sampled_from(
    [
        "state",
        "code",
        "iss",
        "error",
        "error_description",
        "error_uri",
        "session_state",
        "redirect_uri",
        "resource",
        "x",
    ]
)
VALUES = st.one_of(
    st.text(max_size=60),
    st.sampled_from(["A" * 43, "v1.k1.AAAA", "https://evil.example/", "", "\x00", "\r\nSet-Cookie: a=b", "é" * 43]),
)
#: One for each example: an address that goes on without end has to wait (T28).
ADDRESSES = (f"198.51.{high}.{low}" for high in range(256) for low in range(256))
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
COOKIE = st.one_of(
    st.none(),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=120),
    st.tuples(
        st.sampled_from(["__Host-portico-root-AAAAAAAAAAAA-flow", "portico-t1-main-AAAAAAAAAAAA-flow", "x"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=";,"), max_size=80),
    ).map(lambda pair: f"{pair[0]}={pair[1]}"),
)


@pytest.mark.case("B06", "B11", "T4")
@pytest.mark.connector("oidc")
@FUZZ
@given(pairs=PAIRS, raw=st.binary(max_size=60), cookie=COOKIE)
async def test_no_callback_out_of_nowhere_leads_anywhere(
    world: ProviderWorld, pairs: list[tuple[str, str]], raw: bytes, cookie: str | None
):
    queries = [urlencode(pairs), raw.hex(" ").replace(" ", "%"), f"state={'A' * 43}&{urlencode(pairs)}"]
    async with world.http(next(ADDRESSES)) as http:
        for query in queries:
            headers = {} if cookie is None else {"cookie": cookie}
            response = await http.get(f"{world.path}/callback?{query}", headers=headers)
            assert response.status_code in {400, 403}
            assert "location" not in response.headers
            assert planted(response) == {}


@pytest.mark.case("B14", "B16", "T4")
@pytest.mark.connector("oidc")
@FEW
@given(
    changes=st.dictionaries(
        st.sampled_from(["code", "iss", "error", "error_description", "error_uri", "redirect_uri", "client_id"]),
        st.one_of(VALUES, st.sampled_from(["access_denied", "server_error", "interaction_required"])),
        max_size=4,
    ),
    more=PAIRS,
)
async def test_a_flow_ends_at_its_own_redirect_uri_or_on_a_page(
    world: ProviderWorld, changes: dict[str, str], more: list[tuple[str, str]]
):
    browser = Browser(world)
    browser.http = world.http(next(ADDRESSES))
    page = await world.consent_page(browser, await client_of(world))
    location = (await browser.submit(page, decision="allow")).headers["location"]
    state = dict(part.split("=", 1) for part in urlsplit(location).query.split("&"))["state"]
    mine = with_query(f"{world.path}/callback", state=state, code="c", iss=world.idp.issuer)
    more = [pair for pair in more if pair[0] != "state"]
    response = await browser.http.get(f"{with_query(mine, **changes)}&{urlencode(more)}")
    assert response.status_code in {303, 400, 403}
    if response.status_code == 303:
        assert response.headers["location"].startswith(f"{REDIRECT}?")
        assert "\r" not in response.headers["location"]
    else:
        assert "location" not in response.headers
    assert planted(response) == {}


async def client_of(world: ProviderWorld) -> str:
    if world.known is None:
        world.known = await world.register()
    return world.known
