"""What leaves is exactly one well-formed request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.model.errors import InputError
from portico.net.request import OWNED, HeadWriter


def _write(*, method=b"POST", path=b"/mcp", headers=(), length=0):
    """Return the same head in both ways in which headers reach it."""
    writer = HeadWriter()
    early = writer.finish(writer.prepare(method, path, b"host:8080", headers), (), length)
    late = writer.finish(writer.prepare(method, path, b"host:8080", ()), headers, length)
    assert early == late
    return early


def test_the_host_header_is_the_relays_and_everything_is_framed_by_length():
    assert _write(headers=[(b"X-One", b"1"), (b"x-two", b"a\tb")], length=5) == (
        b"POST /mcp HTTP/1.1\r\nhost: host:8080\r\naccept-encoding: identity\r\n"
        b"X-One: 1\r\nx-two: a\tb\r\ncontent-length: 5\r\n\r\n"
    )
    assert b"content-length: 0" in _write()
    assert b"content-length" not in _write(method=b"GET")


@pytest.mark.parametrize(
    "value", [b"a\r\nX: y", b"a\nX: y", b"a\r", b"a\x00", b"\x7f", b"a\x0bb", b"\r\n\r\nGET / HTTP/1.1"]
)
def test_a_header_value_with_a_control_character_is_refused(value):
    with pytest.raises(InputError):
        _write(headers=[(b"x-a", value)])


@pytest.mark.parametrize("name", [b"", b"x a", b"x:", b"x\r\n", b"x\n", b"\xc3\xa9", b"x(", b" x", b"x "])
def test_a_header_name_is_a_token(name):
    with pytest.raises(InputError):
        _write(headers=[(name, b"v")])


@pytest.mark.parametrize("name", sorted(OWNED))
def test_headers_that_frame_a_message_belong_to_the_relay(name):
    for spelt in (name, name.upper(), name.title()):
        with pytest.raises(InputError):
            _write(headers=[(spelt, b"v")])


@pytest.mark.parametrize(
    "path", [b"", b"mcp", b"http://evil/", b"/a b", b"/a\r\nX: y", b"/a#b", b"/\xc3\xa9", b"/a\x00", b"/a\n"]
)
def test_a_path_is_in_origin_form(path):
    with pytest.raises(InputError):
        _write(path=path)


@pytest.mark.parametrize("method", [b"CONNECT", b"HEAD", b"TRACE", b"get", b"", b"GET / HTTP/1.1\r\n"])
def test_a_method_is_one_that_the_relay_can_frame(method):
    with pytest.raises(InputError):
        _write(method=method)


@given(st.lists(st.tuples(st.binary(max_size=12), st.binary(max_size=40)), max_size=6), st.binary(max_size=20))
def test_whatever_is_asked_for_one_head_leaves_or_none(headers, path):
    try:
        head = _write(headers=headers, path=b"/" + path)
    except InputError:
        return
    assert head.endswith(b"\r\n\r\n")
    assert head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r") == len(headers) + 5
    assert head.count(b"\r\n\r\n") == 1


def test_remembered_names_are_bounded():
    writer = HeadWriter()
    for number in range(5000):
        writer.prepare(b"POST", b"/", b"h", [(b"x-%d" % number, b"")])
    assert len(writer._known) <= 1024
