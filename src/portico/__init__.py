"""Portico: a self-hosted MCP gateway.

The packages are layers; imports point downwards only (``pyproject.toml``, import-linter)::

    cli
    service                          settings, composition roots, app, lifespan
    control | facade | gateway | issuer
    authorizer | identity | targets
    web
    audit
    net | storage | process
    telemetry
    oauth | protocol
    crypto
    model

``docs/architecture.md`` walks through the house and follows one call through it.
"""

from typing import Final

__version__: Final = "0.1.0"
