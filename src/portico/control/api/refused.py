"""Why the operations of the AgentCore API that Portico does not offer are refused: one table, by what they belong to.

With :data:`portico.control.api.offered.OFFERED` it names every operation of both planes, once
(``docs/agentcore-api.md`` is made from both).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Operations that are refused for one reason."""

    why: str  #: as it stands after a colon
    names: str  #: of the operations, with white space between them


REFUSALS: Final = (
    Refusal(
        why="tokens for a workload and its user are not built yet; gateways use providers by themselves",
        names="""
            CompleteResourceTokenAuth GetResourceApiKey GetResourceOauth2Token GetWorkloadAccessToken
            GetWorkloadAccessTokenForJWT GetWorkloadAccessTokenForUserId
        """,
    ),
    Refusal(
        why="keys in AWS KMS are not built; the keyring seals what has to be sealed",
        names="ResetTokenVaultKeyMaterial",
    ),
    Refusal(
        why="resource policies are not built; roles of access keys say who may do what",
        names="DeleteResourcePolicy GetResourcePolicy PutResourcePolicy",
    ),
    Refusal(
        why="gateway rules are not built yet",
        names="CreateGatewayRule DeleteGatewayRule GetGatewayRule ListGatewayRules UpdateGatewayRule",
    ),
    Refusal(
        why="rate limits are not built yet",
        names="""
            BatchPutGatewayRateLimits CreateGatewayRateLimit DeleteGatewayRateLimit GetGatewayRateLimit
            ListGatewayRateLimits UpdateGatewayRateLimit
        """,
    ),
    Refusal(
        why="policy engines are not built yet",
        names="""
            CreatePolicy CreatePolicyEngine DeletePolicy DeletePolicyEngine GetPolicy GetPolicyEngine
            GetPolicyEngineSummary GetPolicyGeneration GetPolicyGenerationSummary GetPolicySummary ListPolicies
            ListPolicyEngineSummaries ListPolicyEngines ListPolicyGenerationAssets ListPolicyGenerationSummaries
            ListPolicyGenerations ListPolicySummaries StartPolicyGeneration UpdatePolicy UpdatePolicyEngine
        """,
    ),
    Refusal(
        why="consent portals are not built yet",
        names="CreateConsentPortal DeleteConsentPortal GetConsentPortal ListConsentPortals UpdateConsentPortal",
    ),
    Refusal(
        why="AgentCore Runtime is not built yet: a gateway calls servers that run elsewhere",
        names="""
            CreateAgentRuntime CreateAgentRuntimeEndpoint DeleteAgentRuntime DeleteAgentRuntimeEndpoint GetAgentCard
            GetAgentRuntime GetAgentRuntimeEndpoint InvokeAgentRuntime InvokeAgentRuntimeCommand
            ListAgentRuntimeEndpoints ListAgentRuntimeVersions ListAgentRuntimeVersionsByCapacityProvider
            ListAgentRuntimes StopRuntimeSession UpdateAgentRuntime UpdateAgentRuntimeEndpoint
        """,
    ),
    Refusal(
        why="capacity providers belong to AWS's fleet; there is none here",
        names="""
            CreateCapacityProvider DeleteCapacityProvider DeleteCapacityProviderSession GetCapacityProvider
            ListCapacityProviders UpdateCapacityProvider
        """,
    ),
    Refusal(
        why="harnesses (hosted agents) are not part of Portico",
        names="""
            CreateHarness CreateHarnessEndpoint DeleteHarness DeleteHarnessEndpoint GetHarness GetHarnessEndpoint
            InvokeHarness ListHarnessEndpoints ListHarnessVersions ListHarnesses UpdateHarness UpdateHarnessEndpoint
        """,
    ),
    Refusal(
        why="AgentCore Memory is not part of Portico",
        names="""
            BatchCreateMemoryRecords BatchDeleteMemoryRecords BatchUpdateMemoryRecords CreateEvent CreateMemory
            DeleteEvent DeleteMemory DeleteMemoryRecord GetEvent GetMemory GetMemoryRecord IngestData ListActors
            ListEvents ListMemories ListMemoryExtractionJobs ListMemoryRecords ListSessions RetrieveMemoryRecords
            StartMemoryExtractionJob UpdateMemory
        """,
    ),
    Refusal(
        why="AgentCore's browser, code interpreter and web search are not part of Portico; attach a server for it",
        names="""
            CreateBrowser CreateBrowserProfile CreateCodeInterpreter DeleteBrowser DeleteBrowserProfile
            DeleteCodeInterpreter GetBrowser GetBrowserProfile GetBrowserSession GetCodeInterpreter
            GetCodeInterpreterSession InvokeBrowser InvokeCodeInterpreter InvokeWebSearch ListBrowserProfiles
            ListBrowserSessions ListBrowsers ListCodeInterpreterSessions ListCodeInterpreters
            SaveBrowserSessionProfile StartBrowserSession StartCodeInterpreterSession StopBrowserSession
            StopCodeInterpreterSession UpdateBrowserStream
        """,
    ),
    Refusal(
        why="evaluations, recommendations, A/B tests and data sets are not part of Portico",
        names="""
            AddDatasetExamples CreateABTest CreateConfigurationBundle CreateDataset CreateDatasetVersion
            CreateEvaluator CreateOnlineEvaluationConfig DeleteABTest DeleteBatchEvaluation
            DeleteConfigurationBundle DeleteDataset DeleteDatasetExamples DeleteDatasetGeneration DeleteEvaluator
            DeleteOnlineEvaluationConfig DeleteRecommendation Evaluate GetABTest GetAgentInsight
            GetAgentInsightStore GetBatchEvaluation GetConfigurationBundle GetConfigurationBundleVersion GetDataset
            GetDatasetGeneration GetEvaluator GetOnlineEvaluationConfig GetRecommendation ListABTests
            ListAgentInsightStores ListAgentInsights ListBatchEvaluations ListConfigurationBundleVersions
            ListConfigurationBundles ListDatasetExamples ListDatasetGenerations ListDatasetVersions ListDatasets
            ListEvaluators ListOnlineEvaluationConfigs ListRecommendations StartBatchEvaluation
            StartDatasetGeneration StartRecommendation StopBatchEvaluation UpdateABTest UpdateAgentInsight
            UpdateAgentInsightStore UpdateConfigurationBundle UpdateDataset UpdateDatasetExamples UpdateEvaluator
            UpdateOnlineEvaluationConfig
        """,
    ),
    Refusal(
        why="AgentCore Payments is not part of Portico",
        names="""
            CreatePaymentConnector CreatePaymentCredentialProvider CreatePaymentInstrument CreatePaymentManager
            CreatePaymentSession DeletePaymentConnector DeletePaymentCredentialProvider DeletePaymentInstrument
            DeletePaymentManager DeletePaymentSession GetPaymentConnector GetPaymentCredentialProvider
            GetPaymentInstrument GetPaymentInstrumentBalance GetPaymentManager GetPaymentSession
            GetResourcePaymentToken ListPaymentConnectors ListPaymentCredentialProviders ListPaymentInstruments
            ListPaymentManagers ListPaymentSessions ProcessPayment RotatePaymentConnectorCredentials
            UpdatePaymentConnector UpdatePaymentCredentialProvider UpdatePaymentManager
        """,
    ),
    Refusal(
        why="AWS discontinued this registry in favour of the service agent-registry",
        names="""
            CreateRegistry CreateRegistryRecord DeleteRegistry DeleteRegistryRecord GetRegistry GetRegistryRecord
            ListRegistries ListRegistryRecords SearchRegistryRecords SubmitRegistryRecordForApproval UpdateRegistry
            UpdateRegistryRecord UpdateRegistryRecordStatus
        """,
    ),
)

_UNKNOWN: Final = "it is newer than this release"


def reasons() -> Mapping[str, str]:
    """Return why each refused operation is, by its name."""
    return {name: refusal.why for refusal in REFUSALS for name in refusal.names.split()}


def reason_of(operation: str) -> str:
    """Return why an operation is refused: a sentence's second half."""
    return next((refusal.why for refusal in REFUSALS if operation in refusal.names.split()), _UNKNOWN)
