"""A configuration with every kind of resource, and its secrets by the variables that an export asks for."""

MACHINE_SECRET = "portico_0123456789abcdef0123456789abcdef"
ARN = "arn:aws:bedrock-agentcore:us-east-1:000000000000"
#: Every kind of resource, with every place that a member can have.
EVERYTHING = {
    "issuers": [
        {
            "name": "main",
            "title": "Example: \N{SNOWMAN}",
            "scopes": ["mcp/invoke", "mcp/read"],
            "scopeDescriptions": {"mcp/invoke": "yes"},
            "allowedRedirectUris": ["https://app.example/callback"],
            "users": [
                {"name": "ada", "displayName": "Ada", "email": "ada@example.com", "password": "correct horse"},
                {"name": "bob", "password": "battery staple"},
            ],
            "clients": [
                {"name": "robot", "secret": MACHINE_SECRET, "scopes": ["mcp/invoke"]},
                {
                    "name": "Nightly",
                    "clientId": "nightly-1",
                    "secret": MACHINE_SECRET[::-1],
                    "scopes": ["mcp/read"],
                    "defaultResource": "https://portico.example/g/tools-0123456789/mcp",
                },
                {"clientId": "web", "redirectUris": ["https://app.example/callback"], "scopes": ["mcp/read"]},
                {
                    "clientId": "studio",
                    "name": "Copilot Studio",
                    "secret": "studio_" + MACHINE_SECRET,
                    "redirectUris": ["https://global.consent.azure-apim.net/redirect/a-5fb"],
                    "pkceRequired": False,
                },
                {"clientId": "waiting", "secret": "waiting_" + MACHINE_SECRET, "redirectUris": []},
            ],
        },
        {
            "name": "other",
            "connectors": [
                {"name": "local", "type": "local"},
                {
                    "name": "company",
                    "type": "oidc",
                    "discoveryUrl": "https://idp.example/.well-known/openid-configuration",
                    "clientId": "portico",
                    "clientSecret": "a secret of company",
                },
            ],
        },
    ],
    "oauth2CredentialProviders": [
        {
            "name": "custom",
            "credentialProviderVendor": "CustomOauth2",
            "oauth2ProviderConfigInput": {
                "customOauth2ProviderConfig": {
                    "oauthDiscovery": {"discoveryUrl": "https://idp.example/.well-known/openid-configuration"},
                    "clientId": "portico",
                    "clientSecret": "a secret of custom",
                }
            },
            "tags": {"team": "platform"},
        },
        {
            "name": "entra",
            "credentialProviderVendor": "MicrosoftOauth2",
            "oauth2ProviderConfigInput": {
                "microsoftOauth2ProviderConfig": {"clientId": "c", "tenantId": "contoso.example"}
            },
            "secret": "a secret of entra",
        },
        {
            "name": "internal",
            "credentialProviderVendor": "OktaOauth2",
            "oauth2ProviderConfigInput": {
                "includedOauth2ProviderConfig": {
                    "clientId": "c",
                    "issuer": "http://10.0.0.9/oauth2/default",
                    "authorizationEndpoint": "http://10.0.0.9/oauth2/default/authorize",
                    "tokenEndpoint": "http://10.0.0.9/oauth2/default/token",
                }
            },
            "x-portico": {"allowPrivateAddresses": True},
            "secretFile": "okta",
        },
    ],
    "apiKeyCredentialProviders": [
        {"name": "weather", "apiKey": "an api key", "tags": {"team": "weather"}},
        {"name": "custom", "secretFile": "key"},
    ],
    "workloadIdentities": [
        {"name": "agent", "allowedResourceOauth2ReturnUrls": ["https://app.example/done"], "tags": {"a": "b"}},
        {"name": "plain"},
    ],
    "gateways": [
        {
            "name": "Tools",
            "description": "2025-11-25",
            "roleArn": "arn:aws:iam::123456789012:role/portico",
            "protocolType": "MCP",
            "protocolConfiguration": {"mcp": {"supportedVersions": ["2025-11-25"], "instructions": "a\nb\ttrue"}},
            "authorizerType": "CUSTOM_JWT",
            "authorizerConfiguration": {
                "customJWTAuthorizer": {
                    "discoveryUrl": "https://idp.example/.well-known/openid-configuration",
                    "allowedClients": ["one"],
                    "customClaims": [
                        {
                            "inboundTokenClaimName": "groups",
                            "inboundTokenClaimValueType": "STRING_ARRAY",
                            "authorizingClaimMatchValue": {
                                "claimMatchOperator": "CONTAINS",
                                "claimMatchValue": {"matchValueString": "yes"},
                            },
                        }
                    ],
                }
            },
            "exceptionLevel": "DEBUG",
            "tags": {"team": "platform", "cost": "0123"},
            "x-portico": {"pageSize": 50},
            "targets": [
                {
                    "name": "calc",
                    "description": "It calculates.",
                    "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": "https://calc.example/mcp"}}},
                    "credentialProviderConfigurations": [
                        {
                            "credentialProviderType": "OAUTH",
                            "credentialProvider": {
                                "oauthCredentialProvider": {
                                    "providerArn": f"{ARN}:token-vault/default/oauth2credentialprovider/custom",
                                    "scopes": ["read"],
                                    "grantType": "CLIENT_CREDENTIALS",
                                }
                            },
                        }
                    ],
                },
                {
                    "name": "inside",
                    "targetConfiguration": {
                        "mcp": {
                            "mcpServer": {
                                "endpoint": "http://10.0.0.7:9000/mcp",
                                "mcpToolSchema": {
                                    "inlinePayload": '{"tools": [{"name": "t", "inputSchema": {"type": "object"}}]}'
                                },
                            }
                        }
                    },
                    "x-portico": {"allowPrivateAddresses": True, "callTimeout": 120},
                },
                {
                    "name": "weather",
                    "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": "https://weather.example/mcp"}}},
                    "credentialProviderConfigurations": [
                        {
                            "credentialProviderType": "API_KEY",
                            "credentialProvider": {
                                "apiKeyCredentialProvider": {
                                    "providerArn": f"{ARN}:token-vault/default/apikeycredentialprovider/weather",
                                    "credentialLocation": "HEADER",
                                    "credentialParameterName": "X-Key",
                                }
                            },
                        }
                    ],
                },
            ],
        },
        {"name": "open", "protocolType": "MCP", "authorizerType": "NONE"},
    ],
    "accessKeys": [
        {"accessKeyId": "PORTICO0000000000009", "name": "ci", "role": "administrator", "secret": MACHINE_SECRET},
        {
            "accessKeyId": "PORTICO0000000000010",
            "name": "agent",
            "role": "invoker",
            "gateways": ["Tools", "open"],
            "secret": MACHINE_SECRET[::-1],
        },
    ],
}
SECRETS = {
    "PORTICO_SECRET_PASSWORD_MAIN_ADA": "correct horse",
    "PORTICO_SECRET_PASSWORD_MAIN_BOB": "battery staple",
    "PORTICO_SECRET_CLIENT_MAIN_ROBOT": MACHINE_SECRET,
    "PORTICO_SECRET_CLIENT_MAIN_NIGHTLY_1": MACHINE_SECRET[::-1],
    "PORTICO_SECRET_CLIENT_MAIN_STUDIO": "studio_" + MACHINE_SECRET,
    "PORTICO_SECRET_CLIENT_MAIN_WAITING": "waiting_" + MACHINE_SECRET,
    "PORTICO_SECRET_CONNECTOR_OTHER_COMPANY": "a secret of company",
    "PORTICO_SECRET_OAUTH2_CUSTOM": "a secret of custom",
    "PORTICO_SECRET_OAUTH2_ENTRA": "a secret of entra",
    "PORTICO_SECRET_OAUTH2_INTERNAL": "a secret of okta",
    "PORTICO_SECRET_API_KEY_WEATHER": "an api key",
    "PORTICO_SECRET_API_KEY_CUSTOM": "a key from a file",
    "PORTICO_SECRET_ACCESS_KEY_PORTICO0000000000009": MACHINE_SECRET,
    "PORTICO_SECRET_ACCESS_KEY_PORTICO0000000000010": MACHINE_SECRET[::-1],
}
