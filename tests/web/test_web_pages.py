"""Cookies, forms and page headers of every package that serves pages."""

import re

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from portico.crypto.keyring import Keyring
from portico.model.errors import Forbidden, PorticoError
from portico.web.cookies import Cookies
from portico.web.forms import read_form, read_query
from portico.web.pages import Pages, see_other
from portico.web.same_site import refuse_cross_site
from portico.web.sessions import SESSION_SECONDS, Sessions

KEYRING = Keyring({"k1": bytes(range(32))})


def request(*, method: str = "GET", **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": method, "headers": raw, "path": "/", "query_string": b""})


@pytest.mark.case("G04")
def test_a_cookie_is_read_back_by_its_own_name_only():
    cookies = Cookies("https://portico.example", "x")
    assert cookies.name("session", "main") == "__Host-portico-main-session"
    assert cookies.read(request(cookie="a=b; __Host-portico-main-session=v1=="), "session", "main") == "v1=="
    assert cookies.read(request(cookie="portico-main-session=v"), "session", "main") == ""
    assert (
        cookies.read(request(cookie="__Host-portico-main-session=1; __Host-portico-main-session=2"), "session", "main")
        == ""
    )
    assert cookies.read(request(cookie="x" * 20_000 + "; __Host-portico-main-session=1"), "session", "main") == ""
    assert cookies.read(request(), "session", "main") == ""


@pytest.mark.case("G04")
def test_a_cleared_cookie_keeps_its_attributes():
    response = Response()
    Cookies("https://portico.example", "x").clear(response, "session", "main")
    cookie = response.headers["set-cookie"].lower()
    assert "max-age=0" in cookie
    assert "secure" in cookie
    assert "path=/" in cookie


@pytest.mark.case("G02", "T3")
@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, False),
        ({"origin": "null"}, False),
        ({"origin": "https://portico.example"}, False),
        ({"origin": "https://portico.example.evil.example"}, True),
        ({"origin": "http://portico.example"}, True),
        ({"sec_fetch_site": "same-origin", "origin": "null"}, False),
        ({"sec_fetch_site": "none"}, False),
        ({"sec_fetch_site": "same-site", "origin": "null"}, True),
        ({"sec_fetch_site": "cross-site"}, True),
    ],
)
def test_forms_of_other_sites_are_refused(headers: dict[str, str], refused: bool):
    if refused:
        with pytest.raises(Forbidden):
            refuse_cross_site(request(method="POST", **headers), "https://portico.example")
    else:
        refuse_cross_site(request(method="POST", **headers), "https://portico.example")


@pytest.mark.case("G06")
def test_sessions_differ_end_and_belong_to_one_issuer():
    sessions = Sessions(KEYRING, random=lambda n: __import__("os").urandom(n))
    one, two = sessions.begin("main", "sub", 1000.0), sessions.begin("main", "sub", 1000.0)
    assert one != two
    session = sessions.open("main", one, 1000.0)
    assert session is not None
    assert session.subject == "sub"
    assert sessions.open("main", one, 1000.0 + SESSION_SECONDS) is None
    assert sessions.open("other", one, 1000.0) is None
    assert sessions.open("main", one[:-1], 1000.0) is None


@pytest.mark.case("G11", "B26")
def test_a_page_escapes_and_allows_exactly_its_own_style():
    context = {"brand": "<b>", "title": "<i>", "message": "\"'<", "hint": "", "code": "x"}
    response = Pages([]).render("error.html", context, status=418)
    text = bytes(response.body).decode()
    assert response.status_code == 418
    assert "<b>" not in text
    assert "<i>" not in text
    assert "style-src 'sha256-" in response.headers["content-security-policy"]
    assert "unsafe" not in response.headers["content-security-policy"]
    assert not re.search(r"\son\w+=|style=", text)


@pytest.mark.case("A22")
def test_a_redirect_is_a_303_that_nobody_stores():
    response = see_other("http://127.0.0.1/cb?code=x")
    assert response.status_code == 303
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.case("C17")
def test_forms_and_queries_are_bounded():
    async def echo(request: Request) -> Response:
        try:
            parameters = await read_form(request) if request.method == "POST" else read_query(request)
        except PorticoError as error:
            return JSONResponse(error.code, status_code=error.status)
        return JSONResponse(dict(parameters.pairs))

    form = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    with TestClient(Starlette(routes=[Route("/", echo, methods=["GET", "POST"])])) as http:
        assert http.post("/", content=b"a=1", headers=form).json() == {"a": "1"}
        assert http.post("/?b=1", content=b"a=1", headers=form).status_code == 400
        assert http.post("/", content=b"a=1", headers={"content-type": "text/plain"}).status_code == 415
        assert http.post("/", content=b"a=" + b"x" * 70_000, headers=form).status_code == 413
        assert http.get("/?a=1").json() == {"a": "1"}
        assert http.get("/?a=" + "x" * 20_000).status_code == 400
