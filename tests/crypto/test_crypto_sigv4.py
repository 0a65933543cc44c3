"""The steps of SigV4, against AWS's published example and against botocore's signer."""

from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from portico.crypto.sigv4 import (
    CredentialScope,
    SignedRequest,
    canonical_request,
    signature,
    signing_key,
    string_to_sign,
)

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SCOPE = CredentialScope(date="20150830", region="us-east-1", service="service")
TIMESTAMP = "20150830T123600Z"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
HEADERS = ((b"host", b"example.amazonaws.com"), (b"x-amz-date", TIMESTAMP.encode()))


def request(method="GET", raw_path=b"/", query=b"", headers=HEADERS):
    return SignedRequest(method=method, raw_path=raw_path, query=query, headers=headers)


def signed(asked):
    names = sorted({name.decode() for name, _ in asked.headers})
    canonical = canonical_request(asked, names, EMPTY)
    return signature(signing_key(SECRET, SCOPE), string_to_sign(TIMESTAMP, SCOPE, canonical))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request(), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (request("POST"), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
    ids=["get-vanilla", "post-vanilla"],
)
def test_the_signatures_of_the_published_test_suite_come_out(asked, expected):
    assert signed(asked) == expected


def test_a_percent_sign_in_the_path_is_encoded_once_more():
    canonical = canonical_request(request(raw_path=b"/tags/arn%3Aaws%2Fx~y"), ["host"], EMPTY)
    assert canonical.split(b"\n")[1] == b"/tags/arn%253Aaws%252Fx~y"


def test_an_empty_path_is_the_root():
    assert canonical_request(request(raw_path=b""), ["host"], EMPTY).split(b"\n")[1] == b"/"


@pytest.mark.parametrize("path", [b"//", b"/a//b", b"/a/../b", b"/./a", b"/a/."])
def test_a_path_that_is_not_in_order_never_passes_for_another(path):
    canonical = canonical_request(request(raw_path=path), ["host"], EMPTY)
    assert canonical.split(b"\n")[1] == path


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        (b"b=2&a=1", b"a=1&b=2"),
        (b"a=2&a=1&a", b"a=&a=1&a=2"),
        (b"a=b=c", b"a=b%3Dc"),
        (b"A=1&a=1", b"A=1&a=1"),
        (b"a=%41%7e", b"a=A~"),
        (b"a=%2f", b"a=%2F"),
        (b"a=x+y", b"a=x%20y"),
        (b"a=x%2By", b"a=x%2By"),
        (b"a=%zz", b"a=%25zz"),
        (b"a=1&", b"=&a=1"),
        (b"a=%FF", b"a=%FF"),
    ],
)
def test_the_query_is_decoded_encoded_and_sorted(query, canonical):
    assert canonical_request(request(query=query), ["host"], EMPTY).split(b"\n")[2] == canonical


def test_values_of_a_header_are_trimmed_and_joined_in_order():
    headers = ((b"host", b"h"), (b"x-b", b"  b  c "), (b"x-b", b"a"), (b"other", b"unsigned"))
    canonical = canonical_request(request(headers=headers), ["host", "x-b"], EMPTY)
    assert canonical.split(b"\n")[3:7] == [b"host:h", b"x-b:b c,a", b"", b"host;x-b"]


_TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=12)


@given(
    segments=st.lists(_TEXT.filter(lambda text: text not in {".", ".."}), min_size=1, max_size=4),
    pairs=st.lists(st.tuples(_TEXT, _TEXT), max_size=4),
    values=st.dictionaries(
        st.from_regex(r"\Ax-[a-z]{1,8}\Z"), st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)), max_size=3
    ),
    body=st.binary(max_size=64),
)
def test_whatever_botocore_signs_has_the_same_canonical_request_here(segments, pairs, values, body):
    path = "/" + "/".join(quote(segment, safe="~") for segment in segments)
    query = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
    aws = AWSRequest("PUT", f"http://h:8080{path}" + (f"?{query}" if query else ""), values, body)
    aws.context["timestamp"] = TIMESTAMP
    theirs = SigV4Auth(Credentials("AKIDEXAMPLE", SECRET), "service", "us-east-1")
    expected = theirs.canonical_request(aws)
    ours = canonical_request(
        request(
            "PUT",
            path.encode(),
            query.encode(),
            ((b"host", b"h:8080"), *((name.encode(), value.encode()) for name, value in values.items())),
        ),
        theirs.signed_headers(theirs.headers_to_sign(aws)).split(";"),
        theirs.payload(aws),
    )
    assert ours.decode() == expected


def test_a_signing_key_is_good_for_its_scope_alone():
    keys = {
        signing_key(secret, CredentialScope(date=date, region=region, service=service))
        for secret in ("a" * 40, "b" * 40)
        for date in ("20260101", "20260102")
        for region in ("us-east-1", "eu-west-1")
        for service in ("bedrock-agentcore", "s3")
    }
    assert len(keys) == 16
