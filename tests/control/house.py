"""Documents that are in order, to be bent by a test."""

from copy import deepcopy

DISCOVERY = "https://portico.example/i/main/.well-known/openid-configuration"
FOREIGN = "https://idp.example/.well-known/openid-configuration"
SECRET = "portico_0123456789abcdef0123456789abcdef"
_GATEWAY = {
    "name": "Tools",
    "protocolType": "MCP",
    "authorizerType": "CUSTOM_JWT",
    "authorizerConfiguration": {"customJWTAuthorizer": {"discoveryUrl": DISCOVERY}},
}
_TARGET = {
    "name": "calc",
    "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": "https://calc.example/mcp"}}},
}
_ISSUER = {
    "name": "main",
    "users": [{"name": "ada", "password": "correct horse"}],
    "clients": [{"name": "robot", "secret": SECRET, "scopes": ["mcp/invoke"]}],
}


def gateway(**changes):
    return deepcopy(_GATEWAY) | changes


def target(**changes):
    return deepcopy(_TARGET) | changes


def issuer(**changes):
    return deepcopy(_ISSUER) | changes


def jwt(**members):
    """A CUSTOM_JWT configuration for :func:`gateway`."""
    return {"customJWTAuthorizer": {"discoveryUrl": DISCOVERY} | members}
