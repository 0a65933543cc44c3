"""What protects the pages: headers, cookies, escaping."""

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
