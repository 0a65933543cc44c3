"""The kinds of targets and how they are called: now MCP servers over Streamable HTTP.

Owns the upstream envelope, upstream sessions and the discovery of a target's tools. Knows nothing of who may
call what (``gateway``) or of the database (``control`` stores what discovery finds).
"""
