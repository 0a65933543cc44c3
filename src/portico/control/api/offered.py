"""Which operations of the AgentCore API Portico offers, each with the function that does it."""

from collections.abc import Mapping
from typing import Final

from portico.control.operations import (
    api_key_providers,
    gateways,
    oauth2_providers,
    tags,
    targets,
    token_vault,
    workload_identities,
)
from portico.control.operations.context import Operation

#: By name. Everything else of the model is refused, with a reason (:mod:`portico.control.api.refused`).
OFFERED: Final[Mapping[str, Operation]] = {
    "CreateApiKeyCredentialProvider": api_key_providers.create_api_key_credential_provider,
    "CreateGateway": gateways.create_gateway,
    "CreateGatewayTarget": targets.create_gateway_target,
    "CreateOauth2CredentialProvider": oauth2_providers.create_oauth2_credential_provider,
    "CreateWorkloadIdentity": workload_identities.create_workload_identity,
    "DeleteApiKeyCredentialProvider": api_key_providers.delete_api_key_credential_provider,
    "DeleteGateway": gateways.delete_gateway,
    "DeleteGatewayTarget": targets.delete_gateway_target,
    "DeleteOauth2CredentialProvider": oauth2_providers.delete_oauth2_credential_provider,
    "DeleteWorkloadIdentity": workload_identities.delete_workload_identity,
    "GetApiKeyCredentialProvider": api_key_providers.get_api_key_credential_provider,
    "GetGateway": gateways.get_gateway,
    "GetGatewayTarget": targets.get_gateway_target,
    "GetOauth2CredentialProvider": oauth2_providers.get_oauth2_credential_provider,
    "GetTokenVault": token_vault.get_token_vault,
    "GetWorkloadIdentity": workload_identities.get_workload_identity,
    "ListApiKeyCredentialProviders": api_key_providers.list_api_key_credential_providers,
    "ListGatewayTargets": targets.list_gateway_targets,
    "ListGateways": gateways.list_gateways,
    "ListOauth2CredentialProviders": oauth2_providers.list_oauth2_credential_providers,
    "ListTagsForResource": tags.list_tags_for_resource,
    "ListWorkloadIdentities": workload_identities.list_workload_identities,
    "SetTokenVaultCMK": token_vault.set_token_vault_cmk,
    "SynchronizeGatewayTargets": targets.synchronize_gateway_targets,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "UpdateApiKeyCredentialProvider": api_key_providers.update_api_key_credential_provider,
    "UpdateGateway": gateways.update_gateway,
    "UpdateGatewayTarget": targets.update_gateway_target,
    "UpdateOauth2CredentialProvider": oauth2_providers.update_oauth2_credential_provider,
    "UpdateWorkloadIdentity": workload_identities.update_workload_identity,
}
