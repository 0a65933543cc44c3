"""``portico demo``: the whole of Portico and two real MCP servers in one terminal, for a first look and for tests."""
