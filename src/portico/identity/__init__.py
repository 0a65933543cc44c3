"""What targets are called with: AgentCore Identity's credential providers and the tokens that they give.

Owns the providers in memory (``providers``, ``provider_store``), how their secrets and tokens are sealed
(``sealing``), one exchange with a token endpoint (``exchange``), the tokens that client credentials gave, fetched by
one process for all (``tokens``), and what joins them: :class:`~portico.identity.credentials.Credentials`, which a call
asks for the credential of its target. How requests look and what answers are worth is ``oauth``'s. Knows nothing of
gateways, calls or the API by which providers are managed (``control``).
"""
