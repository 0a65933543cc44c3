"""The issuer that is the origin itself."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from issuer_world import PASSWORD, PUBLIC_URL, Browser, Form
from joserfc import jws

LOCATIONS = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]


@pytest.fixture
async def root(make_world):
    async with make_world(name="root") as made:
        yield made


@pytest.mark.case("E02", "E03")
@pytest.mark.parametrize("location", LOCATIONS)
async def test_its_metadata_stands_at_the_origin_and_names_the_origin(root, location):
    async with root.http() as http:
        document = (await http.get(location)).json()
        assert document["issuer"] == PUBLIC_URL
        for name, url in document.items():
            if name.endswith("_endpoint") or name == "jwks_uri":
                assert urlsplit(url).path.count("/") == 1
                assert (await http.get(url)).status_code in {200, 400, 405}, name


async def test_a_person_logs_in_there_and_the_token_is_the_origins(root):
    client_id = await root.register()
    browser = Browser(root)
    page = await browser.log_in(await browser.open(root.request(client_id)))
    told = await browser.allow(page)
    assert told["iss"] == PUBLIC_URL
    issued = (await root.redeem(client_id, told["code"])).json()
    claims = jws.extract_compact(issued["access_token"].encode()).payload
    assert b'"iss":"%b"' % PUBLIC_URL.encode() in claims


async def test_it_has_no_second_url(root):
    async with root.http() as http:
        for place in ("/i/root/.well-known/openid-configuration", *(f"{place}/i/root" for place in LOCATIONS)):
            assert (await http.get(place)).status_code == 404
        assert (await http.post("/i/root/token")).status_code == 404


async def test_where_there_is_none_the_origin_has_no_metadata(world):
    async with world.http() as http:
        for place in (*LOCATIONS, "/jwks", "/authorize"):
            assert (await http.get(place)).status_code == 404


async def test_a_form_of_it_is_worth_nothing_at_another_issuer(root):
    other = replace(root, name="main")
    await other.settle()
    await other.add_key()
    browser = Browser(other)
    page = await Browser(root).open(root.request(await root.register()))
    fields = Form(page.text).fields | {"name": "ada", "password": PASSWORD}
    assert (await browser.http.post("/i/main/login", data=fields)).status_code == 403
