"""An example MCP server on the official Python SDK; speaks both eras. ``python -m portico.cli.demo.calculator``."""

import argparse

from mcp.server import MCPServer


def calculator() -> MCPServer:
    """Return the server with its three tools."""
    server = MCPServer("calculator", instructions="Adds, multiplies and greets.", log_level="WARNING")

    @server.tool()
    def add_numbers(a: float, b: float) -> float:  # pyright: ignore[reportUnusedFunction]  # the decorator takes it
        """Add two numbers."""
        return a + b

    @server.tool()
    def multiply_numbers(a: float, b: float) -> float:  # pyright: ignore[reportUnusedFunction]  # likewise
        """Multiply two numbers."""
        return a * b

    @server.tool()
    def greet_user(name: str) -> str:  # pyright: ignore[reportUnusedFunction]  # likewise
        """Greet somebody by name."""
        return f"Hello, {name}! Welcome to Portico."

    return server


def main() -> None:
    """Serve on 127.0.0.1 until terminated."""
    parser = argparse.ArgumentParser(description="The demo's calculator.")
    parser.add_argument("--port", type=int, required=True)
    port: int = parser.parse_args().port
    calculator().run("streamable-http", host="127.0.0.1", port=port)


if __name__ == "__main__":
    main()
