"""Inbound: a bearer token or a signed request becomes a ``Principal``, or a refusal that says why.

Owns the keys of the issuers that gateways trust (ours from storage, foreign ones through ``net``), the cache of
verified signatures, the revocations and the access keys in memory, the verification of signed requests (SigV4, of the
AgentCore API too), and the rules of a gateway's authorizer. Read ``authorizer.py`` first. Knows nothing of MCP; who
renders a refusal is ``gateway``.
"""
