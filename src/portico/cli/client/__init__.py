"""A small MCP client: log in, list tools, call one.

The only package that is built on the official Python SDK's client, so that what it proves about a gateway is what
any client written with that SDK would find.
"""
