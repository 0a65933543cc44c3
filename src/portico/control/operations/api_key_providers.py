"""CreateApiKeyCredentialProvider, GetApiKeyCredentialProvider, UpdateApiKeyCredentialProvider,
DeleteApiKeyCredentialProvider and ListApiKeyCredentialProviders.

A key is sealed in its row and never answered. ``apiKeySecretArn`` is what AWS names a secret by; no Secrets Manager
stands behind it.
"""  # noqa: D205 - the names do not fit into one line

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control import providers
from portico.control.arns import api_key_provider_arn
from portico.control.operations.context import OperationContext
from portico.control.paging import read_page
from portico.control.provider_documents import api_key_provider_faults, split_api_key_provider
from portico.control.providers import ProviderRequest
from portico.control.tags import tag_faults
from portico.control.transaction import of_request
from portico.model.errors import InvalidInput, NotFound
from portico.storage import credential_providers
from portico.storage.credential_providers import CredentialProviderRow


async def create_api_key_credential_provider(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Make an API key provider.

    Raises:
        InvalidInput: the request is refused.
        Conflict: the name is taken.
        QuotaExceeded: there are as many as there may be.
    """
    wanted = _wanted(request, tags=request.get("tags", {}))
    async with context.database.write() as conn:
        row = await providers.create(of_request(context, conn), context.keyring, wanted)
    output = _output(context, row)
    return {name: output[name] for name in output if name not in {"createdTime", "lastUpdatedTime"}}


async def get_api_key_credential_provider(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return one API key provider, without its key.

    Raises:
        NotFound: there is none of that name.
    """
    async with context.database.read() as conn:
        return _output(context, await _stored(context, conn, request))


async def update_api_key_credential_provider(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Give an API key provider another key; without one nothing changes.

    Raises:
        InvalidInput: the request is refused.
        NotFound: there is none of that name.
        Conflict: a file manages it, or somebody else changed it meanwhile.
    """
    wanted = _wanted(request, tags=None)
    async with context.database.write() as conn:
        stored = await _stored(context, conn, request)
        row = await providers.update(of_request(context, conn), context.keyring, stored, wanted)
    return _output(context, row)


async def delete_api_key_credential_provider(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Delete an API key provider.

    Raises:
        NotFound: there is none of that name.
        Conflict: a file manages it.
        InUse: targets use it.
    """
    async with context.database.write() as conn:
        row = await _stored(context, conn, request)
        await providers.remove(of_request(context, conn), row)
    return {}


async def list_api_key_credential_providers(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of the API key providers, by name.

    Raises:
        InvalidInput: ``nextToken`` is not one of this list.
    """

    async def fetch(after: str, limit: int) -> list[CredentialProviderRow]:
        async with context.database.read() as conn:
            return await credential_providers.page(conn, "api_key", after=after, limit=limit, account=context.account)

    rows, more = await read_page(context, request, listing="api key providers", fetch=fetch, key=lambda row: row.name)
    return {"credentialProviders": [_summary(context, row) for row in rows], **more}


def _wanted(request: Mapping[str, Any], *, tags: Mapping[str, str] | None) -> ProviderRequest:
    faults = [*api_key_provider_faults(request), *tag_faults(tags or {})]
    if faults:
        raise InvalidInput(faults)
    document, secrets = split_api_key_provider(request)
    return ProviderRequest(kind="api_key", document=document, secrets=secrets, tags=tags)


def _output(context: OperationContext, row: CredentialProviderRow) -> dict[str, Any]:
    """Return a provider as GetApiKeyCredentialProvider answers it."""
    where = f"arn:aws:secretsmanager:{context.region}:{context.account}:secret"
    secret = f"{where}:bedrock-agentcore-identity!default/apikey/{row.name}-{row.callback_id[:6]}"
    return _summary(context, row) | {"apiKeySecretArn": {"secretArn": secret}, "apiKeySecretSource": "MANAGED"}


def _summary(context: OperationContext, row: CredentialProviderRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "credentialProviderArn": api_key_provider_arn(row.name, region=context.region, account=context.account),
        "createdTime": row.created_at,
        "lastUpdatedTime": row.updated_at,
    }


async def _stored(
    context: OperationContext, conn: AsyncConnection, request: Mapping[str, Any]
) -> CredentialProviderRow:
    row = await credential_providers.get(conn, "api_key", request["name"], account=context.account)
    if row is None:
        raise NotFound(f"There is no API key credential provider named {request['name']!r}.")
    return row
