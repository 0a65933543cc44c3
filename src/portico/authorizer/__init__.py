"""Inbound: a bearer token becomes a ``Principal``, or a refusal that says why.

Owns the keys of the issuers that gateways trust (ours from storage, foreign ones through ``net``), the cache of
verified signatures, the revocations in memory, and the rules of a gateway's authorizer. Read ``authorizer.py`` first.
Knows nothing of MCP; who renders a refusal is ``gateway``.
"""
