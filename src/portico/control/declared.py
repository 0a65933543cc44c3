"""Reading everything that a file declares; what is judged against what, in one order."""

from collections.abc import Mapping
from typing import Any, Final

from portico.control.declarations import MANAGED_BY, Declarations
from portico.control.declared_access_keys import read_access_key
from portico.control.declared_gateways import Bounds, read_gateway
from portico.control.declared_issuers import read_issuer
from portico.control.declared_providers import read_api_key_provider, read_identity, read_oauth_provider
from portico.control.quotas import DEFAULT_QUOTAS, Quotas
from portico.control.reader import Reader, ReadFile
from portico.control.relaxations import Ground
from portico.model.errors import Fault
from portico.net.egress import Egress

#: The lists of a file.
DECLARED: Final = (
    "issuers",
    "oauth2CredentialProviders",
    "apiKeyCredentialProviders",
    "workloadIdentities",
    "gateways",
    "accessKeys",
)


def read_declarations(
    document: Mapping[str, Any],
    *,
    public_url: str,
    egress: Egress,
    read_file: ReadFile,
    quotas: Quotas = DEFAULT_QUOTAS,
    managed_by: str = MANAGED_BY,
    other_issuers: frozenset[str] = frozenset(),
) -> tuple[Declarations, list[Fault]]:
    """Read the lists of a file's document, which may refer to ``other_issuers`` that are there already.

    The declarations are only of use when there are no faults.
    """
    reader = Reader(read_file)
    issuers = reader.unique(
        [read_issuer(reader, entry, path) for entry, path in reader.entries(document, "issuers", "")],
        "name",
        lambda issuer: issuer.name,
    )
    ground = Ground(public_url=public_url, issuers=other_issuers | {issuer.name for issuer in issuers})
    bounds = Bounds(ground=ground, egress=egress, quotas=quotas)
    oauth_providers = [
        read_oauth_provider(reader, entry, path, egress=egress)
        for entry, path in reader.entries(document, "oauth2CredentialProviders", "")
    ]
    api_key_providers = [
        read_api_key_provider(reader, entry, path)
        for entry, path in reader.entries(document, "apiKeyCredentialProviders", "")
    ]
    identities = reader.unique(
        [read_identity(reader, entry, path) for entry, path in reader.entries(document, "workloadIdentities", "")],
        "name",
        lambda identity: identity.name,
    )
    gateways = reader.unique(
        [read_gateway(reader, entry, path, bounds) for entry, path in reader.entries(document, "gateways", "")],
        "name",
        lambda gateway: gateway.name,
    )
    access_keys = reader.unique(
        [read_access_key(reader, entry, path) for entry, path in reader.entries(document, "accessKeys", "")],
        "accessKeyId",
        lambda key: key.id,
    )
    declared = Declarations(
        ground=ground,
        managed_by=managed_by,
        issuers=issuers,
        providers=(
            *reader.unique(oauth_providers, "name", lambda provider: provider.name),
            *reader.unique(api_key_providers, "name", lambda provider: provider.name),
        ),
        identities=identities,
        gateways=gateways,
        access_keys=access_keys,
    )
    return declared, reader.faults
