"""CreateOauth2CredentialProvider, GetOauth2CredentialProvider, UpdateOauth2CredentialProvider,
DeleteOauth2CredentialProvider and ListOauth2CredentialProviders.

A client secret is sealed in its row and never answered. ``clientSecretArn`` is what AWS names a secret by; no Secrets
Manager stands behind it.
"""  # noqa: D205 - the names do not fit into one line

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control import providers
from portico.control.arns import oauth2_provider_arn
from portico.control.operations.context import OperationContext
from portico.control.paging import read_page
from portico.control.provider_documents import oauth_provider_faults, split_oauth_provider
from portico.control.providers import ProviderRequest
from portico.control.tags import tag_faults
from portico.control.transaction import of_request
from portico.identity.providers import CONFIG_KEY, EXTENSION_KEY, endpoints_of
from portico.model.errors import InvalidInput, NotFound
from portico.oauth.vendors import VENDORS
from portico.storage import credential_providers
from portico.storage.credential_providers import CredentialProviderRow

PAGE: Final = 20  #: entries where ``maxResults`` is left out; it is the model's maximum
#: Members of the stored configuration that are answered as they stand.
_ECHOED: Final = ("clientId", "clientAuthenticationMethod")
_PRIVATE: Final = "allowPrivateAddresses"
_VENDOR: Final = "credentialProviderVendor"


async def create_oauth2_credential_provider(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Make an OAuth provider. It is READY at once; whether its server answers shows when a token is wanted.

    Raises:
        InvalidInput: the request is refused.
        Conflict: the name is taken.
        QuotaExceeded: there are as many as there may be.
    """
    tags: Mapping[str, str] = request.get("tags", {})
    wanted = _wanted(context, request, extension=_extension(context), tags=tags)
    async with context.database.write() as conn:
        row = await providers.create(of_request(context, conn), context.keyring, wanted)
    output = _output(context, row)
    return {name: output[name] for name in output if name not in {"createdTime", "lastUpdatedTime", _VENDOR}}


async def get_oauth2_credential_provider(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return one OAuth provider, without its secret.

    Raises:
        NotFound: there is none of that name.
    """
    async with context.database.read() as conn:
        return _output(context, await _stored(context, conn, request))


async def update_oauth2_credential_provider(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Replace an OAuth provider as a whole; only its secret may be left out, and only if it goes where it went.

    Raises:
        InvalidInput: the request is refused.
        NotFound: there is none of that name.
        Conflict: a file manages it, or somebody else changed it meanwhile.
    """
    async with context.database.write() as conn:
        stored = await _stored(context, conn, request)
        extension: Mapping[str, Any] = stored.document.get(EXTENSION_KEY, {})
        wanted = _wanted(context, request, extension=extension, tags=None)
        row = await providers.update(of_request(context, conn), context.keyring, stored, wanted)
    return _output(context, row)


async def delete_oauth2_credential_provider(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Delete an OAuth provider.

    Raises:
        NotFound: there is none of that name.
        Conflict: a file manages it.
        InUse: targets use it.
    """
    async with context.database.write() as conn:
        row = await _stored(context, conn, request)
        await providers.remove(of_request(context, conn), row)
    return {}


async def list_oauth2_credential_providers(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of the OAuth providers, by name.

    Raises:
        InvalidInput: ``nextToken`` is not one of this list.
    """

    async def fetch(after: str, limit: int) -> list[CredentialProviderRow]:
        async with context.database.read() as conn:
            return await credential_providers.page(conn, "oauth2", after=after, limit=limit, account=context.account)

    rows, more = await read_page(
        context, request, listing="oauth2 providers", fetch=fetch, key=lambda row: row.name, default=PAGE
    )
    return {"credentialProviders": [_summary(context, row) for row in rows], **more}


def _wanted(
    context: OperationContext,
    request: Mapping[str, Any],
    *,
    extension: Mapping[str, Any],
    tags: Mapping[str, str] | None,
) -> ProviderRequest:
    faults = oauth_provider_faults(request, egress=context.egress, allow_private=extension.get(_PRIVATE) is True)
    faults += tag_faults(tags or {})
    if faults:
        raise InvalidInput(faults)
    document, secrets = split_oauth_provider(request)
    if extension:
        document[EXTENSION_KEY] = dict(extension)
    return ProviderRequest(kind="oauth2", document=document, secrets=secrets, tags=tags)


def _extension(context: OperationContext) -> dict[str, Any]:
    """Return what a new provider may do that AWS's API has no place to say: the same as new targets."""
    return {_PRIVATE: True} if context.target_extension.get(_PRIVATE) is True else {}


def _output(context: OperationContext, row: CredentialProviderRow) -> dict[str, Any]:
    """Return a provider as GetOauth2CredentialProvider answers it."""
    return {
        "name": row.name,
        _VENDOR: row.vendor,
        "credentialProviderArn": _arn(context, row),
        "clientSecretArn": {"secretArn": _secret_arn(context, row)},
        "clientSecretSource": "MANAGED",
        "callbackUrl": f"{context.ground.public_url}/oauth2/callback/{row.callback_id}",
        "oauth2ProviderConfigOutput": {VENDORS[row.vendor].member: _configuration(row)},
        "createdTime": row.created_at,
        "lastUpdatedTime": row.updated_at,
        "status": "READY",
    }


def _configuration(row: CredentialProviderRow) -> dict[str, Any]:
    config: dict[str, Any] = row.document[CONFIG_KEY][VENDORS[row.vendor].member]
    discovery: dict[str, Any] | None = config.get("oauthDiscovery")
    endpoints = endpoints_of(row.document)
    if discovery is None and endpoints is not None:
        metadata = {
            "issuer": endpoints.issuer,
            "authorizationEndpoint": endpoints.authorization_endpoint,
            "tokenEndpoint": endpoints.token_endpoint,
            "responseTypes": ["code"],
        }
        discovery = {"authorizationServerMetadata": metadata}
    return {"oauthDiscovery": discovery, **{name: config[name] for name in _ECHOED if name in config}}


def _summary(context: OperationContext, row: CredentialProviderRow) -> dict[str, Any]:
    return {
        "name": row.name,
        _VENDOR: row.vendor,
        "credentialProviderArn": _arn(context, row),
        "createdTime": row.created_at,
        "lastUpdatedTime": row.updated_at,
    }


async def _stored(
    context: OperationContext, conn: AsyncConnection, request: Mapping[str, Any]
) -> CredentialProviderRow:
    row = await credential_providers.get(conn, "oauth2", request["name"], account=context.account)
    if row is None:
        raise NotFound(f"There is no OAuth2 credential provider named {request['name']!r}.")
    return row


def _arn(context: OperationContext, row: CredentialProviderRow) -> str:
    return oauth2_provider_arn(row.name, region=context.region, account=context.account)


def _secret_arn(context: OperationContext, row: CredentialProviderRow) -> str:
    where = f"arn:aws:secretsmanager:{context.region}:{context.account}:secret"
    return f"{where}:bedrock-agentcore-identity!default/oauth2/{row.name}-{row.callback_id[:6]}"
