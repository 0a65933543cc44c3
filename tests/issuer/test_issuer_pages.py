"""What protects the pages: headers, cookies, escaping."""

import re
from importlib import resources

import pytest
from issuer_world import Browser, World

EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'


@pytest.mark.case("G03", "T3", "B26")
async def test_pages_are_not_framed_not_stored_and_leak_no_address(world: World, client_id: str):
    browser = Browser(world)
    login = await browser.open(world.request(client_id))
    consent = await browser.log_in(login)
    error = await browser.open(world.request("nobody"))
    for page in (login, consent, error):
        policy = page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "base-uri 'none'" in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "<script" not in page.text
        assert "http-equiv" not in page.text
        assert "src=" not in page.text


@pytest.mark.case("T3")
async def test_the_consent_page_leaves_form_action_out_because_its_answer_leads_to_the_client(
    world: World, client_id: str
):
    browser = Browser(world)
    login = await browser.open(world.request(client_id))
    assert "form-action 'self'" in login.headers["content-security-policy"]
    consent = await browser.log_in(login)
    assert "form-action" not in consent.headers["content-security-policy"]


@pytest.mark.case("B26")
async def test_redirects_with_a_code_are_not_stored_and_leak_no_address(world: World, client_id: str):
    browser = Browser(world)
    page = await browser.log_in(await browser.open(world.request(client_id)))
    response = await browser.submit(page, decision="allow")
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.case("E12")
async def test_pages_are_never_read_across_origins(world: World, client_id: str):
    browser = Browser(world)
    page = await browser.open(world.request(client_id), origin="https://app.example")
    assert "access-control-allow-origin" not in page.headers
    for path in ("authorize", "login", "consent"):
        preflight = await browser.http.options(
            f"/i/main/{path}", headers={"origin": "https://app.example", "access-control-request-method": "POST"}
        )
        assert preflight.status_code == 405
        assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.case("G04")
async def test_cookies_over_https_are_host_bound_and_out_of_reach(make_world):
    url = "https://portico.example"
    async with make_world(public_url=url, resources=[f"{url}/g/tools/mcp"]) as world:
        client_id = await world.register()
        browser = Browser(world)
        page = await browser.open(world.request(client_id))
        login = await browser.submit(page, name="ada", password="correct horse battery staple")
        for response in (page, login):
            cookie = response.headers["set-cookie"]
            assert cookie.startswith("__Host-portico-main-")
            parts = {part.strip().lower() for part in cookie.split(";")[1:]}
            assert parts == {"path=/", "secure", "httponly", "samesite=lax"}


@pytest.mark.case("G04")
async def test_cookies_over_http_have_a_name_of_this_data_directory(world: World, client_id: str):
    cookie = (await Browser(world).open(world.request(client_id))).headers["set-cookie"]
    assert cookie.startswith("portico-t1-main-browser=")
    assert {"httponly", "samesite=lax", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}
    assert "secure" not in cookie.lower()


@pytest.mark.case("G04")
async def test_a_cookie_that_was_planted_beside_ours_is_not_believed(world: World, client_id: str):
    browser = Browser(world)
    page = await browser.open(world.request(client_id))
    [cookie] = [f"{cookie.name}={cookie.value}" for cookie in browser.http.cookies.jar]
    browser.http.cookies.clear()
    planted = {"cookie": f"{cookie}; {cookie.partition('=')[0]}={'x' * 43}"}
    assert (await browser.submit(page, name="ada", password="x", headers=planted)).status_code == 403


@pytest.mark.case("G11", "T26", "F04")
async def test_markup_in_names_and_parameters_is_shown_as_text(world: World):
    await world.add_user("mallory", display_name=EVIL)
    client_id = await world.register(client_name=EVIL)
    browser = Browser(world)
    login = await browser.open(world.request(client_id, state=EVIL, nonce=EVIL))
    failed = await browser.submit(login, name=EVIL, password=EVIL)
    consent = await browser.log_in(login, name="mallory")
    error = await browser.open(world.request(client_id, redirect_uri=f"http://127.0.0.1/{EVIL}"))
    for page in (login, failed, consent, error):
        assert "<script>alert" not in page.text
        assert "<img" not in page.text
    assert "&lt;script&gt;" in consent.text


@pytest.mark.case("F04")
async def test_a_name_is_one_line_without_anything_invisible_and_cut(world: World):
    async with world.http() as http:
        for sent, shown in [
            ("Safe\u202etxt.exe", "Safetxt.exe"),
            ("a\u200bb\x00c\nd", "abc d"),
            ("x" * 10_000, "x" * 79 + "…"),
            ("\u202e\u2066", "Unnamed application"),
        ]:
            response = await http.post(
                "/i/main/register", json={"redirect_uris": ["http://127.0.0.1/cb"], "client_name": sent}
            )
            assert response.json()["client_name"] == shown


async def test_pages_hold_labels_a_language_and_a_way_by_keyboard(world: World, client_id: str):
    browser = Browser(world)
    login = await browser.open(world.request(client_id))
    assert '<html lang="en">' in login.text
    assert '<label for="name">' in login.text
    assert '<label for="password">' in login.text
    assert "autofocus" in login.text
    assert 'role="alert"' in (await browser.submit(login, name="ada", password="x")).text


async def test_titles_say_which_page_it_is_and_that_something_went_wrong(world: World, client_id: str):
    browser = Browser(world)
    login = await browser.open(world.request(client_id))
    wrong = await browser.submit(login, name="ada", password="x")
    consent = await browser.log_in(login)
    world.clock.forward(601)
    late = await browser.submit(consent, decision="allow")
    unknown = await browser.open(world.request("nobody"))
    titles = [re.findall(r"<title>(.*) \N{EN DASH} ", page.text)[0] for page in (login, wrong, consent, late, unknown)]
    assert titles == [
        "Log in",
        "Problem: User name or password is wrong. \N{EN DASH} Log in",
        "Allow access",
        "Problem: This took too long",
        "Problem: This request cannot be served",
    ]


@pytest.mark.case("B08", "B09", "G02")
async def test_late_elsewhere_and_twice_are_told_apart_each_with_what_to_do(world: World, client_id: str):
    browser, other = Browser(world), Browser(world)
    page = await browser.log_in(await browser.open(world.request(client_id)))
    await other.log_in(await other.open(world.request(client_id)))
    elsewhere = await other.submit(page, decision="allow")
    await browser.allow(page)
    twice = await browser.submit(page, decision="allow")
    world.clock.forward(601)
    late = await browser.submit(page, decision="allow")
    for answer, code, advice in (
        (elsewhere, "flow_elsewhere", "Stay in one browser, with cookies allowed."),
        (twice, "flow_finished", "it may be connected"),
        (late, "flow_expired", "Go back to the application and connect it again."),
    ):
        assert answer.status_code == 403
        assert f"<code>{code}</code>" in answer.text
        assert advice in answer.text


#: What must stand out from what: edges of fields and buttons and the ring of the focus (WCAG 1.4.11).
EDGES = [
    ("field-line", "card"),
    ("field-line", "field"),
    ("accent", "card"),
    ("accent", "ground"),
    ("bad-ink", "field"),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_edges_and_the_ring_of_the_focus_stand_out_three_to_one(scheme: str):
    sheet = (resources.files("portico.web") / "templates" / "style.css").read_text()
    light, dark = re.findall(r":root \{([^}]*#[^}]*)\}", sheet)
    colours = dict(re.findall(r"--([a-z-]+): #([0-9a-f]{6});", light if scheme == "light" else dark))
    for edge, ground in EDGES:
        lighter, darker = sorted((_luminance(colours[edge]), _luminance(colours[ground])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 3, (edge, ground)


def _luminance(colour: str) -> float:
    """Return the relative luminance (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
