"""The ``portico`` command: shells over use cases, the demo, and a small MCP client."""
