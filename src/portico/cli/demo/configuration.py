"""The `portico.yaml` that the demo writes: also a first example of one."""

from typing import Any, Final

import yaml

from portico.cli.demo.place import (
    KEYRING_FILE,
    MACHINE_SECRET_FILE,
    PASSWORD_FILE,
    SECRET_ACCESS_KEY_FILE,
    Place,
)
from portico.cli.private_file import write_private

ISSUER: Final = "main"
GATEWAY: Final = "demo"
USER: Final = "demo"
MACHINE: Final = "demo-agent"
ADMINISTRATOR: Final = "demo-admin"
SCOPE: Final = "mcp/invoke"
SESSION_SECONDS: Final = 3600

_HEADER: Final = """\
# Written by `portico demo` at every start; what you change here lasts until the next.
# Copy it, and run the copy with: portico serve --config portico.yaml
# Gateways and targets have the shapes of AWS's CreateGateway and CreateGatewayTarget.
"""


def write_configuration(place: Place, public_url: str, endpoints: dict[str, str]) -> None:
    """Write the configuration for a gateway whose targets (by name) are at ``endpoints``."""
    document = configuration(public_url, endpoints, access_key_id=place.access_key_id)
    write_private(place.config, _HEADER + yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def configuration(public_url: str, endpoints: dict[str, str], *, access_key_id: str) -> dict[str, Any]:
    """Return the document; relative paths are relative to its file."""
    return {
        "listen": public_url.removeprefix("http://"),
        "public_url": public_url,
        "data_dir": ".",
        "keyring": KEYRING_FILE,
        "default_gateway": GATEWAY,
        "api_private_addresses": True,  # whoever tries it out has servers on this machine
        "log": {"level": "warning"},
        "issuers": [
            {
                "name": ISSUER,
                "title": "Portico demo",
                "scopes": [SCOPE],
                "scopeDescriptions": {SCOPE: "Use the tools of the demo"},
                # A laptop may reach nothing outside, or only by a proxy: clients register here, which always works.
                "clientDocuments": {"enabled": False},
                "users": [{"name": USER, "displayName": "Demo", "passwordFile": PASSWORD_FILE}],
                "clients": [{"name": MACHINE, "secretFile": MACHINE_SECRET_FILE, "scopes": [SCOPE]}],
            }
        ],
        "accessKeys": [
            {
                "accessKeyId": access_key_id,
                "name": ADMINISTRATOR,
                "role": "administrator",
                "secretFile": SECRET_ACCESS_KEY_FILE,
            }
        ],
        "gateways": [
            {
                "name": GATEWAY,
                "description": "The calculator and the everything server behind one URL.",
                "protocolType": "MCP",
                "protocolConfiguration": {
                    "mcp": {
                        "instructions": "Tools of two example servers behind one gateway.",
                        "sessionConfiguration": {"sessionTimeoutInSeconds": SESSION_SECONDS},
                        "streamingConfiguration": {"enableResponseStreaming": True},
                    }
                },
                "authorizerType": "CUSTOM_JWT",
                "authorizerConfiguration": {
                    "customJWTAuthorizer": {
                        "discoveryUrl": f"{public_url}/i/{ISSUER}/.well-known/openid-configuration",
                        "allowedScopes": [SCOPE],
                    }
                },
                "exceptionLevel": "DEBUG",
                "targets": [_target(name, endpoint) for name, endpoint in endpoints.items()],
            }
        ],
    }


def _target(name: str, endpoint: str) -> dict[str, Any]:
    return {
        "name": name,
        "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": endpoint}}},
        "x-portico": {"allowPrivateAddresses": True},
    }
