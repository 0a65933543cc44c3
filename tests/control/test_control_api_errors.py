"""Errors as boto3 sees them: the exception's class, its code, its members, and nothing that is ours to keep."""

import asyncio

import pytest
from botocore.exceptions import ClientError

from portico.model.errors import (
    ConfigError,
    Conflict,
    Fault,
    Forbidden,
    InputError,
    InUse,
    InvalidInput,
    LimitExceeded,
    NotFound,
    ParameterMismatch,
    QuotaExceeded,
    SealError,
    StorageUnavailable,
    UpstreamTimeout,
)
from support.agentcore_api import Api, client

INNER = "postgresql://portico:hunter2@db.internal/portico"
FAULT = Fault(path="name", message="must be shorter")


@pytest.fixture
def raised():
    return []


@pytest.fixture
async def url(sqlite_database, keyring, raised):
    async def fail(_context, _request):
        raise raised[0]

    api = await Api(
        database=sqlite_database, keyring=keyring, context=lambda *_: None, offered={"CreateWorkloadIdentity": fail}
    ).start()
    async with api.serving() as url:
        yield url


async def refused(url, **options):
    made = client(url, **options)
    with pytest.raises(ClientError) as caught:
        await asyncio.to_thread(made.create_workload_identity, name="agent")
    return caught.value, made


@pytest.mark.parametrize(
    ("error", "name", "status"),
    [
        (InvalidInput([FAULT]), "ValidationException", 400),
        (ParameterMismatch([FAULT]), "ValidationException", 400),
        (InUse([FAULT]), "ValidationException", 400),
        (ConfigError([FAULT]), "ValidationException", 400),
        (InputError("It does not fit."), "ValidationException", 400),
        (SealError("It is not ours."), "ValidationException", 400),
        (Forbidden("No."), "AccessDeniedException", 403),
        (NotFound("There is none."), "ResourceNotFoundException", 404),
        (Conflict("It exists."), "ConflictException", 409),
        (QuotaExceeded("Too many."), "ServiceQuotaExceededException", 402),
        (LimitExceeded("Too fast.", retry_after=7), "ThrottlingException", 429),
        (StorageUnavailable("Later.", detail=INNER), "InternalServerException", 503),
        (UpstreamTimeout("It was slow.", detail=INNER), "InternalServerException", 500),
        (RuntimeError(INNER), "InternalServerException", 500),
        (KeyError(INNER), "InternalServerException", 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_each_kind_of_error_is_an_exception_of_the_service(url, raised, error, name, status):
    raised.append(error)
    caught, made = await refused(url)
    answer = caught.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (name, status)
    assert type(caught) is (made.exceptions.from_code(name))
    assert answer["ResponseMetadata"]["RequestId"] == answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    assert INNER not in str(answer)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InvalidInput([FAULT]), "FieldValidationFailed"),
        (ParameterMismatch([FAULT]), "IdempotentParameterMismatchException"),
        (InUse([FAULT]), "ResourceConflict"),
    ],
)
async def test_wrong_input_has_a_reason_and_each_field_with_its_fault(url, raised, error, reason):
    raised.append(error)
    caught, _ = await refused(url)
    assert caught.response["reason"] == reason
    assert caught.response["fieldList"] == [{"name": "name", "message": "must be shorter"}]
    assert caught.response["Error"]["Message"] == "1 validation error detected: name: must be shorter"


async def test_what_cannot_be_parsed_has_a_reason_and_no_fields(url, raised):
    raised.append(InputError("The body is not JSON."))
    caught, _ = await refused(url)
    assert caught.response["reason"] == "CannotParse"
    assert "fieldList" not in caught.response


async def test_what_may_be_tried_again_says_when(url, raised):
    raised.append(LimitExceeded("Too fast.", retry_after=7))
    caught, _ = await refused(url)
    assert caught.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "7"


async def test_a_failure_of_ours_says_only_where_the_log_has_it(url, raised):
    raised.append(RuntimeError(INNER))
    caught, _ = await refused(url)
    assert caught.response["Error"]["Message"] == (
        "An internal error occurred. The log has it under the request id of this answer."
    )


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"key_id": "PORTICOUNKNOWN000000"}, "UnrecognizedClientException"),
        ({"secret": "x" * 40}, "InvalidSignatureException"),
        ({"region": "eu-west-1"}, "InvalidSignatureException"),
    ],
)
async def test_a_signature_that_proves_nobody_has_the_name_that_aws_gives_it(url, options, name):
    caught, _ = await refused(url, **options)
    assert caught.response["Error"]["Code"] == name
    assert caught.response["ResponseMetadata"]["HTTPStatusCode"] == 403


async def test_an_operation_that_is_not_offered_says_so_on_both_planes(url):
    for service, call, arguments in (
        ("bedrock-agentcore-control", "create_memory", {"name": "m", "eventExpiryDuration": 30}),
        ("bedrock-agentcore", "list_events", {"memoryId": "m-0123456789", "sessionId": "s", "actorId": "a"}),
    ):
        made = client(url, service)
        with pytest.raises(ClientError) as caught:
            await asyncio.to_thread(getattr(made, call), **arguments)
        assert caught.value.response["Error"]["Code"] == "NotOfferedException"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
