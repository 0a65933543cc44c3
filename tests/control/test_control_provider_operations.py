"""Credential providers, workload identities and the token vault through the API's operations, on both databases."""

import pytest

from control.agentcore import LOCAL, Api, server
from portico.control.shapes import load_shapes
from portico.identity.sealing import open_secrets
from portico.model.errors import Conflict, InUse, InvalidInput, NotFound, QuotaExceeded
from portico.oauth.vendors import VENDORS
from portico.storage import changes, counters, credential_providers, jobs, outbound_tokens, targets
from portico.storage.schema import DEFAULT_ACCOUNT

SECRET = "s3cr3t-canary-9f8e7d"
TENANT = {
    "issuer": "https://acme.idp.example",
    "authorizationEndpoint": "https://acme.idp.example/authorize",
    "tokenEndpoint": "https://acme.idp.example/token",
}
DISCOVERY = "https://idp.example/.well-known/openid-configuration"


def oauth(name="idp", vendor="CustomOauth2", member="customOauth2ProviderConfig", **config):
    if vendor == "CustomOauth2" and "oauthDiscovery" not in config:
        config["oauthDiscovery"] = {"discoveryUrl": DISCOVERY}
    config = {"clientId": "portico", "clientSecret": SECRET} | config
    config = {key: value for key, value in config.items() if value is not None}
    return {"name": name, "credentialProviderVendor": vendor, "oauth2ProviderConfigInput": {member: config}}


def using(arn, **settings):
    settings = {"providerArn": arn, "scopes": ["tools"]} | settings
    return [{"credentialProviderType": "OAUTH", "credentialProvider": {"oauthCredentialProvider": settings}}]


def with_key(arn, **settings):
    settings = {"providerArn": arn} | settings
    return [{"credentialProviderType": "API_KEY", "credentialProvider": {"apiKeyCredentialProvider": settings}}]


async def paths_of(call):
    with pytest.raises(InvalidInput) as refused:
        await call
    return [fault.path.rpartition("Config.")[2] for fault in refused.value.faults]


async def test_an_oauth_provider_lives_its_life(api, clock):
    made = await api("CreateOauth2CredentialProvider", **oauth(), tags={"team": "a"})
    assert made["credentialProviderArn"].endswith(":token-vault/default/oauth2credentialprovider/idp")
    assert made["status"] == "READY"
    assert made["callbackUrl"].startswith("https://portico.example/oauth2/callback/")
    clock.now += 10
    got = await api("GetOauth2CredentialProvider", name="idp")
    output = {"oauthDiscovery": {"discoveryUrl": DISCOVERY}, "clientId": "portico"}
    assert got["oauth2ProviderConfigOutput"] == {"customOauth2ProviderConfig": output}
    assert got["credentialProviderVendor"] == "CustomOauth2"
    assert {name: got[name] for name in made} == made
    updated = await api("UpdateOauth2CredentialProvider", **oauth(clientSecret="another"))
    assert updated["callbackUrl"] == made["callbackUrl"]
    assert updated["lastUpdatedTime"] == got["createdTime"] + 10
    listed = await api.every("ListOauth2CredentialProviders")
    assert [entry["name"] for entry in listed] == ["idp"]
    assert (await api("ListTagsForResource", resourceArn=made["credentialProviderArn"]))["tags"] == {"team": "a"}
    assert await api("DeleteOauth2CredentialProvider", name="idp") == {}
    for operation in ("Get", "Delete"):
        with pytest.raises(NotFound):
            await api(f"{operation}Oauth2CredentialProvider", name="idp")


@pytest.mark.parametrize("vendor", sorted(VENDORS))
async def test_every_vendor_of_the_model_can_be_a_provider(api, vendor):
    known = VENDORS[vendor]
    config = {} if known.endpoints or vendor == "CustomOauth2" else TENANT
    await api("CreateOauth2CredentialProvider", **oauth("one", vendor, known.member, **config))
    output = (await api("GetOauth2CredentialProvider", name="one"))["oauth2ProviderConfigOutput"][known.member]
    assert output["clientId"] == "portico"
    if vendor != "CustomOauth2":
        metadata = output["oauthDiscovery"]["authorizationServerMetadata"]
        assert all(metadata[name].startswith("https://") for name in TENANT)
        assert "{" not in str(metadata).replace("{'", "")
        if config:
            assert {name: metadata[name] for name in TENANT} == TENANT


def test_the_vendors_are_those_of_the_model():
    shapes = load_shapes()
    assert set(VENDORS) == set(shapes["CredentialProviderVendorType"]["enum"])
    members = shapes["Oauth2ProviderConfigInput"]["members"]
    assert {vendor.member for vendor in VENDORS.values()} == set(members)


async def test_a_tenant_of_microsofts_has_its_own_endpoints(api):
    microsoft = ("ms", "MicrosoftOauth2", "microsoftOauth2ProviderConfig")
    await api("CreateOauth2CredentialProvider", **oauth(*microsoft, tenantId="contoso.example"))
    output = (await api("GetOauth2CredentialProvider", name="ms"))["oauth2ProviderConfigOutput"][microsoft[2]]
    metadata = output["oauthDiscovery"]["authorizationServerMetadata"]
    assert metadata["tokenEndpoint"] == "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"
    refused = api("UpdateOauth2CredentialProvider", **oauth(*microsoft, tenantId="a/../b"))
    assert await paths_of(refused) == ["tenantId"]


@pytest.mark.case("H10")
async def test_secrets_are_sealed_never_returned_and_not_in_the_audit_trail(api, read, keyring):
    answers = [
        await api("CreateOauth2CredentialProvider", **oauth()),
        await api("UpdateOauth2CredentialProvider", **oauth(clientAuthenticationMethod="CLIENT_SECRET_POST")),
        await api("GetOauth2CredentialProvider", name="idp"),
        await api("CreateApiKeyCredentialProvider", name="key", apiKey=SECRET),
        await api("UpdateApiKeyCredentialProvider", name="key", apiKey=SECRET + "2"),
        await api("GetApiKeyCredentialProvider", name="key"),
        await api("ListApiKeyCredentialProviders"),
    ]
    rows = await read(credential_providers.list_all)
    records = [row.record for row in await read(changes.list_all)]
    assert len(records) == 4
    for held in (answers, rows, records):
        assert SECRET not in repr(held)
    oauth_row = next(row for row in rows if row.kind == "oauth2")
    opened = open_secrets(keyring, oauth_row.sealed, account=DEFAULT_ACCOUNT, kind="oauth2", name="idp")
    assert opened["clientSecret"].reveal() == SECRET
    assert repr(opened) == "{'clientSecret': ********}"


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"clientSecretSource": "EXTERNAL", "clientSecret": None}, "clientSecretSource"),
        ({"clientSecretConfig": {"secretId": "arn", "jsonKey": "k"}}, "clientSecretConfig"),
        ({"clientAuthenticationMethod": "PRIVATE_KEY_JWT"}, "clientAuthenticationMethod"),
        ({"clientAuthenticationMethod": "AWS_IAM_ID_TOKEN_JWT"}, "clientAuthenticationMethod"),
        ({"privateKeyJwtConfig": {"signingAlgorithm": "RS256"}}, "privateKeyJwtConfig"),
        ({"onBehalfOfTokenExchangeConfig": {"grantType": "TOKEN_EXCHANGE"}}, "onBehalfOfTokenExchangeConfig"),
        (
            {
                "privateEndpoint": {
                    "selfManagedLatticeResource": {"resourceConfigurationIdentifier": "rcfg-" + "0" * 17}
                }
            },
            "privateEndpoint",
        ),
        ({"privateEndpointOverrides": []}, "privateEndpointOverrides"),
        ({"certificateConfigurations": [{"s3": {"uri": "s3://bucket/ca.pem"}}]}, "certificateConfigurations"),
        ({"clientId": ""}, "clientId"),
        ({"clientSecret": ""}, "clientSecret"),
        ({"clientSecret": None}, "clientSecret"),
        ({"oauthDiscovery": {"discoveryUrl": DISCOVERY.replace("https", "http")}}, "oauthDiscovery.discoveryUrl"),
        (
            {"oauthDiscovery": {"discoveryUrl": "https://10.0.0.1/.well-known/openid-configuration"}},
            "oauthDiscovery.discoveryUrl",
        ),
        (
            {"oauthDiscovery": {"authorizationServerMetadata": TENANT | {"tokenEndpoint": "ftp://a.example"}}},
            "oauthDiscovery.authorizationServerMetadata.tokenEndpoint",
        ),
        (
            {"oauthDiscovery": {"authorizationServerMetadata": TENANT | {"responseTypes": ["token"]}}},
            "oauthDiscovery.authorizationServerMetadata.responseTypes",
        ),
        (
            {
                "clientAuthenticationMethod": "CLIENT_SECRET_POST",
                "oauthDiscovery": {
                    "authorizationServerMetadata": TENANT | {"tokenEndpointAuthMethods": ["client_secret_post"]}
                },
            },
            "oauthDiscovery.authorizationServerMetadata.tokenEndpointAuthMethods",
        ),
    ],
)
async def test_what_has_no_effect_or_could_not_be_called_is_refused_by_name(api, config, path):
    assert await paths_of(api("CreateOauth2CredentialProvider", **oauth(**config))) == [path]
    with pytest.raises(NotFound):
        await api("GetOauth2CredentialProvider", name="idp")


async def test_a_vendor_takes_its_own_member_and_the_endpoints_that_only_its_customer_knows(api):
    other = oauth("g", "GoogleOauth2", "includedOauth2ProviderConfig")
    assert await paths_of(api("CreateOauth2CredentialProvider", **other)) == ["oauth2ProviderConfigInput"]
    okta = oauth("o", "OktaOauth2", "includedOauth2ProviderConfig", tokenEndpoint="https://o.example/token")
    assert await paths_of(api("CreateOauth2CredentialProvider", **okta)) == ["issuer", "authorizationEndpoint"]


async def test_private_endpoints_are_for_those_who_may_use_them(database, keyring, clock):
    local = {"oauthDiscovery": {"discoveryUrl": "http://127.0.0.1:9/.well-known/openid-configuration"}}
    allowed = Api(database, keyring, clock, extension=LOCAL)
    await allowed("CreateOauth2CredentialProvider", **oauth(**local))
    refused = Api(database, keyring, clock)("CreateOauth2CredentialProvider", **oauth("two", **local))
    assert await paths_of(refused) == ["oauthDiscovery.discoveryUrl"]


async def test_a_stored_secret_stays_unless_it_would_go_somewhere_else(api, read, keyring):
    await api("CreateOauth2CredentialProvider", **oauth())
    await api(
        "UpdateOauth2CredentialProvider", **oauth(clientSecret=None, clientAuthenticationMethod="CLIENT_SECRET_POST")
    )
    for elsewhere in (
        {"oauthDiscovery": {"discoveryUrl": "https://evil.example/.well-known/openid-configuration"}},
        {"oauthDiscovery": {"authorizationServerMetadata": TENANT}},
        {"clientId": "another"},
    ):
        refused = api("UpdateOauth2CredentialProvider", **oauth(clientSecret=None, **elsewhere))
        assert await paths_of(refused) == ["clientSecret"]
    row = await read(credential_providers.get, "oauth2", "idp")
    opened = open_secrets(keyring, row.sealed, account=DEFAULT_ACCOUNT, kind="oauth2", name="idp")
    assert opened["clientSecret"].reveal() == SECRET
    assert row.revision == 2


async def test_an_api_key_provider_lives_its_life(api, read, keyring):
    made = await api("CreateApiKeyCredentialProvider", name="key", apiKey="k" * 65536)
    assert made["apiKeySecretArn"]["secretArn"].startswith("arn:aws:secretsmanager:us-east-1:")
    with pytest.raises(Conflict):
        await api("CreateApiKeyCredentialProvider", name="key", apiKey="other")
    row = await read(credential_providers.get, "api_key", "key")
    assert (
        len(open_secrets(keyring, row.sealed, account=row.account, kind="api_key", name="key")["apiKey"].reveal())
        == 65536
    )
    await api("UpdateApiKeyCredentialProvider", name="key", apiKey="short")
    assert [entry["name"] for entry in await api.every("ListApiKeyCredentialProviders")] == ["key"]
    await api("DeleteApiKeyCredentialProvider", name="key")
    with pytest.raises(NotFound):
        await api("GetApiKeyCredentialProvider", name="key")


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        ({}, "apiKey"),
        ({"apiKey": ""}, "apiKey"),
        ({"apiKey": "a\r\nX-Evil: 1"}, "apiKey"),
        ({"apiKey": " padded "}, "apiKey"),
        ({"apiKey": "schlüssel"}, "apiKey"),
        ({"apiKey": "k", "apiKeySecretSource": "EXTERNAL"}, "apiKeySecretSource"),
        ({"apiKey": "k", "apiKeySecretConfig": {"secretId": "a", "jsonKey": "b"}}, "apiKeySecretConfig"),
    ],
)
async def test_a_key_that_could_not_be_sent_is_refused(api, request_, path):
    assert await paths_of(api("CreateApiKeyCredentialProvider", name="key", **request_)) == [path]


async def test_a_target_names_a_provider_that_is_there(api):
    gateway = await api.gateway()
    arn = (await api("CreateOauth2CredentialProvider", **oauth()))["credentialProviderArn"]
    key_arn = (await api("CreateApiKeyCredentialProvider", name="key", apiKey="k"))["credentialProviderArn"]
    configurations = using(arn)
    made = await api.target(gateway, credentialProviderConfigurations=configurations)
    assert made["credentialProviderConfigurations"] == configurations
    acps = with_key(key_arn.replace(":bedrock-agentcore:", ":acps:"))
    await api.target(gateway, name="second", credentialProviderConfigurations=acps)
    for wrong in (
        using(arn + "x"),
        using(key_arn),
        with_key(arn),
        using(arn.replace("us-east-1", "eu-west-1")),
        using(arn.replace(DEFAULT_ACCOUNT, "1" * 12)),
        using("arn:aws:s3:::bucket"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await api.target(gateway, name="third", credentialProviderConfigurations=wrong)
        assert [fault.path.rpartition(".")[2] for fault in refused.value.faults] == ["providerArn"]


async def test_a_provider_in_use_is_not_deleted(api):
    gateway = await api.gateway()
    arn = (await api("CreateOauth2CredentialProvider", **oauth()))["credentialProviderArn"]
    key_arn = (await api("CreateApiKeyCredentialProvider", name="idp", apiKey="k"))["credentialProviderArn"]
    target = await api.target(gateway, credentialProviderConfigurations=using(arn))
    with pytest.raises(InUse, match="calc"):
        await api("DeleteOauth2CredentialProvider", name="idp")
    await api("DeleteApiKeyCredentialProvider", name="idp")
    assert key_arn != arn
    await api("DeleteGatewayTarget", gatewayIdentifier=gateway["gatewayId"], targetId=target["targetId"])
    await api("DeleteOauth2CredentialProvider", name="idp")


async def test_a_change_reaches_replicas_tokens_and_targets(api, read, database, clock):
    gateway = await api.gateway()
    arn = (await api("CreateOauth2CredentialProvider", **oauth()))["credentialProviderArn"]
    target = await api.target(gateway, credentialProviderConfigurations=using(arn))
    async with database.write() as conn:
        await outbound_tokens.lease(conn, "k" * 64, provider="idp", owner="r", now=1, lease_seconds=1)
        for job in await jobs.lease(conn, "r", clock.now + 1, 1, 99):
            await jobs.finish(conn, job)
    before = (await read(counters.read_all))["providers"]
    await api("UpdateOauth2CredentialProvider", **oauth(clientSecret="mended"))
    assert (await read(counters.read_all))["providers"] == before + 1
    assert await read(outbound_tokens.get, "k" * 64) is None
    async with database.write() as conn:
        due = await jobs.lease(conn, "r", clock.now + 1, 1, 99)
    assert ("sync", target["targetId"]) in {(job.kind, job.key) for job in due}
    revision = (await read(credential_providers.get, "oauth2", "idp")).revision
    await api("UpdateOauth2CredentialProvider", **oauth(clientSecret="mended"))
    assert (await read(credential_providers.get, "oauth2", "idp")).revision == revision


async def test_quotas_bound_providers_and_identities(api):
    bounded = api.bounded(oauth2_providers=1, api_key_providers=1, workload_identities=1)
    await bounded.gateway()  # its identity does not count
    await bounded("CreateOauth2CredentialProvider", **oauth())
    await bounded("CreateApiKeyCredentialProvider", name="key", apiKey="k")
    await bounded("CreateWorkloadIdentity", name="agent")
    for operation, request in (
        ("CreateOauth2CredentialProvider", oauth("two")),
        ("CreateApiKeyCredentialProvider", {"name": "two", "apiKey": "k"}),
        ("CreateWorkloadIdentity", {"name": "two"}),
    ):
        with pytest.raises(QuotaExceeded):
            await bounded(operation, **request)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"grantType": "AUTHORIZATION_CODE", "defaultReturnUrl": "https://app.example/back"}, "grantType"),
        ({"grantType": "TOKEN_EXCHANGE"}, "grantType"),
        ({"grantType": "CLIENT_CREDENTIALS", "defaultReturnUrl": "https://app.example/back"}, "defaultReturnUrl"),
        ({"scopes": ["two words"]}, "scopes[0]"),
        ({"customParameters": {"client_secret": "x"}}, "customParameters['client_secret']"),
    ],
)
async def test_what_a_grant_cannot_be_is_refused_by_name(api, change, path):
    gateway = await api.gateway()
    arn = (await api("CreateOauth2CredentialProvider", **oauth()))["credentialProviderArn"]
    with pytest.raises(InvalidInput) as refused:
        await api.target(gateway, credentialProviderConfigurations=using(arn, **change))
    prefix = "credentialProviderConfigurations[0].credentialProvider.oauthCredentialProvider."
    assert [fault.path.removeprefix(prefix) for fault in refused.value.faults] == [path]


async def test_a_persons_consent_is_refused_for_good_where_no_client_could_be_asked(api):
    arn = (await api("CreateOauth2CredentialProvider", **oauth()))["credentialProviderArn"]
    code = using(arn, grantType="AUTHORIZATION_CODE", defaultReturnUrl="https://app.example/back")
    for versions, words in ((["2025-06-18"], "2025-11-25 or later"), (["2025-11-25"], "not built yet")):
        name = "g" + versions[0].replace("-", "")
        protocol = {"mcp": {"supportedVersions": versions}}
        gateway = await api.gateway(name=name, protocolConfiguration=protocol)
        with pytest.raises(InvalidInput) as refused:
            await api.target(gateway, credentialProviderConfigurations=code)
        assert words in refused.value.faults[0].message


@pytest.mark.parametrize("kind", ["GATEWAY_IAM_ROLE", "CALLER_IAM_CREDENTIALS", "JWT_PASSTHROUGH"])
async def test_credentials_that_are_not_for_mcp_servers_are_refused(api, kind):
    gateway = await api.gateway()
    with pytest.raises(InvalidInput) as refused:
        await api.target(gateway, credentialProviderConfigurations=[{"credentialProviderType": kind}])
    path = "credentialProviderConfigurations[0].credentialProviderType"
    assert [fault.path for fault in refused.value.faults] == [path]


@pytest.mark.parametrize(
    ("settings", "member"),
    [
        ({"credentialParameterName": "Content-Length"}, "credentialParameterName"),
        ({"credentialParameterName": "Mcp-Session-Id"}, "credentialParameterName"),
        ({"credentialParameterName": "x y"}, "credentialParameterName"),
        ({"credentialParameterName": "kéy", "credentialLocation": "QUERY_PARAMETER"}, "credentialParameterName"),
        ({"credentialPrefix": "a\nb"}, "credentialPrefix"),
    ],
)
async def test_an_api_key_stands_where_it_breaks_no_request(api, settings, member):
    gateway = await api.gateway()
    arn = (await api("CreateApiKeyCredentialProvider", name="key", apiKey="k"))["credentialProviderArn"]
    with pytest.raises(InvalidInput) as refused:
        await api.target(gateway, credentialProviderConfigurations=with_key(arn, **settings))
    assert [fault.path.rpartition(".")[2] for fault in refused.value.faults] == [member]


async def test_a_persons_scopes_for_a_machine_are_warned_of_at_creation(api, read):
    gateway = await api.gateway()
    arn = (await api("CreateOauth2CredentialProvider", **oauth()))["credentialProviderArn"]
    configurations = using(arn, scopes=["openid", "tools", "offline_access"])
    made = await api.target(gateway, credentialProviderConfigurations=configurations)
    assert "openid, offline_access" in " ".join(made["statusReasons"])
    row = await read(targets.get, made["targetId"])
    assert "openid" in row.status_reasons[0]
    plain = await api.target(gateway, name="plain", targetConfiguration=server())
    assert plain["statusReasons"] == []


async def test_a_workload_identity_lives_its_life(api, clock):
    urls = ["https://app.example/callback", "http://localhost:8081/oauth2/callback", "myapp:/back"]
    made = await api("CreateWorkloadIdentity", name="agent", allowedResourceOauth2ReturnUrls=urls, tags={"a": "1"})
    assert made["workloadIdentityArn"].endswith(":workload-identity-directory/default/workload-identity/agent")
    assert made["allowedResourceOauth2ReturnUrls"] == urls
    with pytest.raises(Conflict):
        await api("CreateWorkloadIdentity", name="agent")
    clock.now += 5
    updated = await api("UpdateWorkloadIdentity", name="agent")
    assert updated["allowedResourceOauth2ReturnUrls"] == []
    assert updated["lastUpdatedTime"] == updated["createdTime"] + 5
    assert [entry["name"] for entry in await api.every("ListWorkloadIdentities")] == ["agent"]
    await api("DeleteWorkloadIdentity", name="agent")
    for operation in ("Get", "Update", "Delete"):
        with pytest.raises(NotFound):
            await api(f"{operation}WorkloadIdentity", name="agent")


async def test_a_gateways_identity_takes_return_urls_and_goes_with_its_gateway(api):
    gateway = await api.gateway()
    name = gateway["gatewayId"]
    urls = ["https://app.example/callback"]
    updated = await api("UpdateWorkloadIdentity", name=name, allowedResourceOauth2ReturnUrls=urls)
    assert updated["allowedResourceOauth2ReturnUrls"] == urls
    with pytest.raises(InUse):
        await api("DeleteWorkloadIdentity", name=name)
    await api("DeleteGateway", gatewayIdentifier=name)
    with pytest.raises(NotFound):
        await api("GetWorkloadIdentity", name=name)


@pytest.mark.case("T5")
@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "JavaScript://x", "data:text/html,x", "vbscript:x", "file:///etc"]
)
async def test_no_browser_is_sent_to_a_dangerous_return_url(api, url):
    request = {"name": "agent", "allowedResourceOauth2ReturnUrls": ["https://ok.example/", url]}
    assert await paths_of(api("CreateWorkloadIdentity", **request)) == ["allowedResourceOauth2ReturnUrls[1]"]


async def test_lists_are_read_page_by_page(api):
    for number in range(25):
        await api("CreateWorkloadIdentity", name=f"agent-{number:02}")
        await api("CreateOauth2CredentialProvider", **oauth(f"idp-{number:02}"))
    page = await api("ListWorkloadIdentities", maxResults=20)
    assert len(page["workloadIdentities"]) == 20
    assert len(await api.every("ListWorkloadIdentities")) == 25
    names = [entry["name"] for entry in await api.every("ListOauth2CredentialProviders", maxResults=7)]
    assert names == [f"idp-{number:02}" for number in range(25)]
    with pytest.raises(InvalidInput):
        await api("ListOauth2CredentialProviders", nextToken=page["nextToken"])


async def test_the_vault_is_sealed_by_the_keyring_alone(api):
    vault = await api("GetTokenVault")
    assert vault["kmsConfiguration"] == {"keyType": "ServiceManagedKey"}
    assert await api("GetTokenVault", tokenVaultId="default") == vault
    assert await api("SetTokenVaultCMK", kmsConfiguration={"keyType": "ServiceManagedKey"}) == vault
    key = "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012"
    customer = {"keyType": "CustomerManagedKey", "kmsKeyArn": key}
    with pytest.raises(InvalidInput, match="not built"):
        await api("SetTokenVaultCMK", kmsConfiguration=customer)
    with pytest.raises(NotFound):
        await api("GetTokenVault", tokenVaultId="other")
