"""The façade's data plane: a streaming reverse proxy to one MCP server that somebody else runs.

Owns what passes between a client and that server: who may call, which headers pass in each direction, how refusals of
the server are told so that clients come back to our issuer, and the metadata of the one resource. It does not read MCP
messages. Neighbours: ``issuer`` (tokens), ``net.relay`` (the way out), ``service.facade`` (composition).
"""
