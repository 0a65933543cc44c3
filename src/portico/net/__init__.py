"""Outbound HTTP, all of it: ``relay`` for targets, ``fetch`` for metadata and keys, one egress rule for both.

Owns which addresses may be dialled (``egress``), our own HTTP/1.1 keep-alive pool for calls to targets (``relay``
over ``pool``, ``dial``, ``connection``, ``request``, ``response``), and one library client for everything else that
goes out (``fetch``). Knows nothing of MCP, OAuth or storage; follows no redirect and keeps no cookie anywhere.
"""
