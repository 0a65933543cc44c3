"""Signed requests: what botocore signs is taken, and whatever was changed about it is refused by AWS's names."""

import os
from dataclasses import replace
from email.utils import formatdate
from hashlib import sha256

import pytest

from portico.authorizer.access_keys import AccessKeys, sealed_secret
from portico.authorizer.sigv4 import MAX_AUTHORIZATION_BYTES, MAX_SKEW_SECONDS, Signatures
from portico.crypto.keyring import Keyring
from portico.model.errors import (
    IncompleteSignature,
    InvalidSignature,
    MissingSignature,
    SignatureExpired,
    SignatureRefused,
    UnknownAccessKey,
)
from portico.model.secret import Secret
from portico.storage import access_keys
from portico.storage.access_keys import AccessKeyRow
from support.signing import KEY_ID, SECRET, Sent, Signer

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
URL = "http://127.0.0.1:8080/tags/arn%3Aaws%3Ax%2Fy?maxResults=5&nextToken=a%2Bb%20c"
BODY = b'{"name": "tools"}'
OTHER_KEY_ID = "PORTICO0123456789XYZ"


def row(keyring, key_id=KEY_ID, secret=SECRET, **members):
    sealed = sealed_secret(keyring, key_id, Secret(secret))
    members = {"name": "ada", "role": "administrator", "created_at": 1} | members
    return AccessKeyRow(id=key_id, sealed_secret=sealed, **members)


@pytest.fixture
def keyring():
    return Keyring({"k1": os.urandom(32)})


@pytest.fixture
async def keys(database, keyring):
    async with database.write() as conn:
        await access_keys.add(conn, row(keyring))
        await access_keys.add(conn, row(keyring, OTHER_KEY_ID, SECRET.upper()))
        await access_keys.add(conn, row(keyring, "PORTICO_THE_DISABLED", disabled_at=5))
    made = AccessKeys(database, keyring)
    await made.reload()
    return made


class _Clock:
    now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return _Clock()


@pytest.fixture
def signatures(keys, time):
    return Signatures(keys, region="us-east-1", clock=time)


def sign(signer=Signer(), *, method="POST", url=URL, now=NOW, body=BODY, headers=None):  # noqa: B008 - a value
    return signer.sign(method, url, now=now, body=body, headers=headers or {"content-type": "application/json"})


def outcome(signatures, sent: Sent):
    return signatures.verify(sent.request, sent.body)


def with_authorization(sent, old, new):
    return sent.with_header(b"authorization", sent.header(b"authorization").replace(old, new))


# What is taken


def test_what_botocore_signs_proves_the_key(signatures):
    key = outcome(signatures, sign())
    assert (key.id, key.name, key.role, key.account) == (KEY_ID, "ada", "administrator", "000000000000")
    assert key.arn == "arn:aws:iam::000000000000:user/ada"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_every_method_and_an_empty_body_can_be_signed(signatures, method):
    assert outcome(signatures, sign(method=method, body=b"")).id == KEY_ID


@pytest.mark.parametrize("skew", [-MAX_SKEW_SECONDS, 0, MAX_SKEW_SECONDS])
def test_a_clock_may_be_five_minutes_off(signatures, skew):
    assert outcome(signatures, sign(now=NOW + skew)).id == KEY_ID


def test_the_same_request_may_come_twice_since_equal_requests_have_equal_signatures(signatures):
    sent = sign(method="GET", body=b"")
    assert outcome(signatures, sent) == outcome(signatures, sent)


def test_the_date_may_stand_in_the_header_of_that_name(signatures):
    sent = sign(headers={"Date": formatdate(NOW)})
    assert b"x-amz-date" not in dict(sent.headers)
    assert outcome(signatures, sent).id == KEY_ID


def test_a_declared_payload_hash_is_taken_when_it_is_right(signatures):
    sent = sign(headers={"X-Amz-Content-SHA256": sha256(BODY).hexdigest()})
    assert outcome(signatures, sent).id == KEY_ID


def test_what_a_proxy_adds_without_signing_it_disturbs_nobody(signatures):
    sent = sign()
    for name in (b"x-forwarded-for", b"x-amzn-trace-id", b"x-amz-cf-id", b"via", b"user-agent"):
        sent = sent.with_header(name, b"added on the way")
    assert outcome(signatures, sent).id == KEY_ID


def test_the_parameters_may_be_separated_by_a_comma_alone(signatures):
    assert outcome(signatures, with_authorization(sign(), b", ", b",")).id == KEY_ID


# What is refused: every line is one change of a request that is in order

TAMPERINGS = {
    "another method": (lambda s: replace(s, method="PUT"), InvalidSignature),
    "another path": (lambda s: replace(s, raw_path=s.raw_path + b"x"), InvalidSignature),
    "a decoded slash in the path": (
        lambda s: replace(s, raw_path=s.raw_path.replace(b"%2F", b"/")),
        InvalidSignature,
    ),
    "a decoded colon in the path": (lambda s: replace(s, raw_path=s.raw_path.replace(b"%3A", b":")), InvalidSignature),
    "a doubled slash in the path": (lambda s: replace(s, raw_path=b"/" + s.raw_path), InvalidSignature),
    "a detour in the path": (lambda s: replace(s, raw_path=b"/x/.." + s.raw_path), InvalidSignature),
    "another query value": (lambda s: replace(s, query=s.query.replace(b"5", b"6")), InvalidSignature),
    "one more query parameter": (lambda s: replace(s, query=s.query + b"&more=1"), InvalidSignature),
    "an empty query parameter more": (lambda s: replace(s, query=s.query + b"&"), InvalidSignature),
    "a repeated query parameter": (lambda s: replace(s, query=s.query + b"&maxResults=5"), InvalidSignature),
    "a query parameter less": (lambda s: replace(s, query=b"maxResults=5"), InvalidSignature),
    "a plus sign that was encoded": (lambda s: replace(s, query=s.query.replace(b"%2B", b"+")), InvalidSignature),
    "another body": (lambda s: replace(s, body=s.body + b" "), InvalidSignature),
    "no body": (lambda s: replace(s, body=b""), InvalidSignature),
    "another host": (lambda s: s.with_header(b"host", b"evil.example"), InvalidSignature),
    "another port": (lambda s: s.with_header(b"host", b"127.0.0.1:8081"), InvalidSignature),
    "another value of a signed header": (lambda s: s.with_header(b"content-type", b"text/html"), InvalidSignature),
    "a signed header less": (lambda s: s.with_header(b"content-type", None), InvalidSignature),
    "a second value of a signed header": (
        lambda s: replace(s, headers=(*s.headers, (b"content-type", b"text/html"))),
        InvalidSignature,
    ),
    "an unsigned header of Amazon's": (lambda s: s.with_header(b"x-amz-target", b"other"), InvalidSignature),
    "another date within the window": (
        lambda s: s.with_header(b"x-amz-date", b"20270115T080001Z"),
        InvalidSignature,
    ),
    "a date that does not exist": (lambda s: s.with_header(b"x-amz-date", b"20270230T080000Z"), IncompleteSignature),
    "a date in another form": (lambda s: s.with_header(b"x-amz-date", b"2027-01-15"), IncompleteSignature),
    "a date beyond all calendars": (
        lambda s: s.with_header(b"x-amz-date", b"Fri, 31 Dec 9999 23:59:59 -2359"),
        IncompleteSignature,
    ),
    "no date": (lambda s: s.with_header(b"x-amz-date", None), IncompleteSignature),
    "two dates": (
        lambda s: replace(s, headers=(*s.headers, (b"x-amz-date", b"20270115T080000Z"))),
        IncompleteSignature,
    ),
    "another day in the credential": (lambda s: s.with_credential(date="20270114"), InvalidSignature),
    "another region": (lambda s: s.with_credential(region="eu-west-1"), InvalidSignature),
    "another service": (lambda s: s.with_credential(service="s3"), InvalidSignature),
    "the name of the control plane as service": (
        lambda s: s.with_credential(service="bedrock-agentcore-control"),
        InvalidSignature,
    ),
    "another terminator": (lambda s: s.with_credential(terminator="aws5_request"), InvalidSignature),
    "an unknown access key": (lambda s: s.with_credential(key_id="AKIA0123456789ABCDEF"), UnknownAccessKey),
    "a disabled access key": (lambda s: s.with_credential(key_id="PORTICO_THE_DISABLED"), UnknownAccessKey),
    "somebody else's access key": (lambda s: s.with_credential(key_id=OTHER_KEY_ID), InvalidSignature),
    "an access key in small letters": (lambda s: s.with_credential(key_id=KEY_ID.lower()), UnknownAccessKey),
    "an access key that is too short": (lambda s: s.with_credential(key_id="short"), IncompleteSignature),
    "a session token": (lambda s: s.with_header(b"x-amz-security-token", b"token"), UnknownAccessKey),
    "a credential with a part less": (
        lambda s: with_authorization(s, b"/aws4_request", b""),
        IncompleteSignature,
    ),
    "host not signed": (lambda s: s.without_signed("host"), InvalidSignature),
    "date not signed": (lambda s: s.without_signed("x-amz-date"), InvalidSignature),
    "a header less signed": (lambda s: s.without_signed("content-type"), InvalidSignature),
    "a header signed that was not sent": (
        lambda s: with_authorization(s, b"=content-type;host", b"=content-type;cookie;host"),
        InvalidSignature,
    ),
    "signed headers out of order": (
        lambda s: with_authorization(s, b"content-type;host", b"host;content-type"),
        IncompleteSignature,
    ),
    "signed headers twice": (lambda s: with_authorization(s, b"host;", b"host;host;"), IncompleteSignature),
    "signed headers in capitals": (lambda s: with_authorization(s, b";host;", b";Host;"), IncompleteSignature),
    "no signed headers": (
        lambda s: with_authorization(s, b"content-type;host;x-amz-date", b""),
        IncompleteSignature,
    ),
    "a signature of zeros": (
        lambda s: s.with_header(b"authorization", s.header(b"authorization").rpartition(b"=")[0] + b"=" + b"0" * 64),
        InvalidSignature,
    ),
    "a signature cut short": (
        lambda s: s.with_header(b"authorization", s.header(b"authorization")[:-1]),
        IncompleteSignature,
    ),
    "a signature in capitals": (
        lambda s: s.with_header(
            b"authorization",
            s.header(b"authorization")[:-64] + s.header(b"authorization")[-64:].upper(),
        ),
        IncompleteSignature,
    ),
    "no signature": (lambda s: s.with_header(b"authorization", None), MissingSignature),
    "an empty header": (lambda s: s.with_header(b"authorization", b""), IncompleteSignature),
    "a bearer token": (lambda s: s.with_header(b"authorization", b"Bearer eyJhbGciOiJFUzI1NiJ9"), IncompleteSignature),
    "another algorithm": (
        lambda s: with_authorization(s, b"AWS4-HMAC-SHA256", b"AWS4-ECDSA-P256-SHA256"),
        IncompleteSignature,
    ),
    "the header twice": (
        lambda s: replace(s, headers=(*s.headers, (b"authorization", s.header(b"authorization")))),
        IncompleteSignature,
    ),
    "a parameter twice": (
        lambda s: s.with_header(b"authorization", s.header(b"authorization") + b", Signature=" + b"0" * 64),
        IncompleteSignature,
    ),
    "an unknown parameter": (
        lambda s: s.with_header(b"authorization", s.header(b"authorization") + b", Extra=1"),
        IncompleteSignature,
    ),
    "a header that never ends": (
        lambda s: s.with_header(b"authorization", s.header(b"authorization") + b" " * MAX_AUTHORIZATION_BYTES),
        IncompleteSignature,
    ),
    "a header beyond ASCII": (
        lambda s: with_authorization(s, b"us-east-1", "us-eäst-1".encode()),
        IncompleteSignature,
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_request_that_was_tampered_with_is_refused(signatures, name):
    tamper, refusal = TAMPERINGS[name]
    sent = sign()
    assert outcome(signatures, sent).id == KEY_ID
    with pytest.raises(refusal) as caught:
        outcome(signatures, tamper(sent))
    assert type(caught.value) is refusal
    assert caught.value.status == 403
    assert caught.value.caller is None


def test_there_are_enough_tamperings():
    assert len(TAMPERINGS) >= 25


def test_another_secret_signs_for_nobody(signatures):
    with pytest.raises(InvalidSignature):
        outcome(signatures, sign(Signer(secret=SECRET.swapcase())))


@pytest.mark.parametrize("skew", [-MAX_SKEW_SECONDS - 1, MAX_SKEW_SECONDS + 1, -(10**9), 10**9])
def test_a_clock_that_is_further_off_is_told_so_in_amazons_words(signatures, skew):
    with pytest.raises(SignatureExpired) as caught:
        outcome(signatures, sign(now=NOW + skew))
    said = "Signature expired: " if skew < 0 else "Signature not yet current: "
    assert caught.value.public.startswith(said)
    assert caught.value.public.endswith("- 5 min.)" if skew < 0 else "+ 5 min.)")
    assert caught.value.aws_code == "InvalidSignatureException"


@pytest.mark.parametrize(
    "declared",
    [
        "UNSIGNED-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        sha256(b"another body").hexdigest(),
        sha256(BODY).hexdigest().upper(),
        "",
    ],
)
def test_a_payload_that_is_not_signed_is_refused_though_the_signature_says_so(signatures, declared):
    sent = sign(headers={"X-Amz-Content-SHA256": declared})
    with pytest.raises(InvalidSignature):
        outcome(signatures, sent)


def test_a_session_token_is_refused_even_when_it_is_signed(signatures):
    with pytest.raises(UnknownAccessKey):
        outcome(signatures, sign(Signer(token="a session")))


def test_a_presigned_url_is_no_signature(signatures):
    sent = sign(method="GET", body=b"").with_header(b"authorization", None)
    with pytest.raises(MissingSignature, match="presigned"):
        outcome(signatures, replace(sent, query=b"X-Amz-Signature=" + b"0" * 64))


def test_unknown_and_disabled_keys_are_told_the_same(signatures):
    told = set()
    for key_id in ("AKIA0123456789ABCDEF", "PORTICO_THE_DISABLED"):
        with pytest.raises(UnknownAccessKey) as caught:
            outcome(signatures, sign().with_credential(key_id=key_id))
        told.add((caught.value.public, caught.value.aws_code, caught.value.status))
    assert told == {("The security token included in the request is invalid.", "UnrecognizedClientException", 403)}


def test_what_needs_no_body_is_judged_before_one_is_read(signatures):
    for tampered in (sign().with_credential(region="eu-west-1"), sign(now=NOW - 1000), sign().without_signed("host")):
        with pytest.raises(SignatureRefused):
            signatures.begin(tampered.request)


def test_no_refusal_repeats_more_than_a_little_of_what_was_sent(signatures):
    long = sign().with_credential(region="x" * 4000)
    with pytest.raises(InvalidSignature) as caught:
        outcome(signatures, long)
    assert len(caught.value.public) < 300
    assert SECRET not in str(caught.value)


# Keys in memory


async def test_a_disabled_key_ends_at_the_next_reload(database, keys, signatures):
    async with database.write() as conn:
        await access_keys.set_disabled(conn, KEY_ID, 1)
    assert outcome(signatures, sign()).id == KEY_ID
    await keys.reload()
    with pytest.raises(UnknownAccessKey):
        outcome(signatures, sign())


async def test_a_key_that_is_disabled_while_a_body_comes_proves_nobody(database, keys, signatures):
    begun = signatures.begin(sign().request)
    async with database.write() as conn:
        await access_keys.set_disabled(conn, KEY_ID, 1)
    await keys.reload()
    with pytest.raises(UnknownAccessKey):
        begun.prove(BODY)


async def test_a_new_secret_takes_the_place_of_the_old_one_at_the_next_reload(database, keyring, keys, signatures):
    assert outcome(signatures, sign()).id == KEY_ID
    async with database.write() as conn:
        await access_keys.replace(conn, row(keyring, secret="the new one, long enough"))
    await keys.reload()
    with pytest.raises(InvalidSignature):
        outcome(signatures, sign())
    assert outcome(signatures, sign(Signer(secret="the new one, long enough"))).id == KEY_ID


async def test_a_day_later_the_same_key_signs_with_another_derived_one(signatures, time):
    assert outcome(signatures, sign()).id == KEY_ID
    time.now += 86_400
    assert outcome(signatures, sign(now=time.now)).id == KEY_ID


async def test_a_key_whose_sealing_key_was_dropped_is_unknown_and_leaves_the_others_alone(database, keyring, time):
    lost = Keyring({"k2": os.urandom(32)})
    async with database.write() as conn:
        await access_keys.add(conn, row(lost, OTHER_KEY_ID))
        await access_keys.add(conn, row(keyring))
    keys = AccessKeys(database, keyring)
    await keys.reload()
    signatures = Signatures(keys, region="us-east-1", clock=time)
    assert outcome(signatures, sign()).id == KEY_ID
    with pytest.raises(UnknownAccessKey):
        outcome(signatures, sign(Signer(key_id=OTHER_KEY_ID)))


async def test_a_sealed_secret_opens_for_its_own_key_alone(database, keyring, time):
    stolen = replace(row(keyring, OTHER_KEY_ID, "known to a thief, long enough"), id=KEY_ID)
    async with database.write() as conn:
        await access_keys.add(conn, stolen)
    keys = AccessKeys(database, keyring)
    await keys.reload()
    with pytest.raises(UnknownAccessKey):
        outcome(Signatures(keys, region="us-east-1", clock=time), sign(Signer(secret="known to a thief, long enough")))


async def test_when_a_key_was_used_last_is_written_now_and_then(database, keys, signatures):
    outcome(signatures, sign())
    with pytest.raises(InvalidSignature):
        outcome(signatures, sign(Signer(key_id=OTHER_KEY_ID)))
    await keys.write_uses()
    async with database.read() as conn:
        used = {entry.id: entry.last_used_at for entry in await access_keys.list_all(conn)}
    assert used == {KEY_ID: int(NOW), OTHER_KEY_ID: None, "PORTICO_THE_DISABLED": None}


def test_secrets_print_as_stars(signatures, keys):
    assert SECRET not in repr(signatures.begin(sign().request))
    assert SECRET not in repr(keys.get(KEY_ID))
