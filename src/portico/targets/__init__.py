"""The kinds of targets and how they are called: now MCP servers over Streamable HTTP.

Owns the upstream conversation: calls (``mcp_server``), legacy sessions (``sessions`` says who shares one,
``handshake`` opens and closes it), one request and its answer (``exchange``), what a target offers (``discovery``,
``definitions``), and which era it speaks (``verdicts``, ``eras``). How messages look is ``protocol``'s, how bytes
travel ``net``'s. Knows nothing of who may call what (``gateway``) or of the database (``control`` stores what
discovery finds).
"""
