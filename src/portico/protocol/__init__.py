"""MCP on the wire, sans-IO, both eras."""
