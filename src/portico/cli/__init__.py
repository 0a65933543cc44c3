"""The ``portico`` command: shells over use cases, the demo, and a small MCP client.

Owns arguments, what is printed, and exit codes (0 done, 1 failed, 2 wrong usage, 130 interrupted). A command
reads its settings through ``service``, calls one use case of ``control`` and prints the outcome; no rule lives
here. ``client`` is the only part of Portico that is built on the MCP Python SDK, and ``demo`` brings example
servers that are. Each command module is imported when its command runs.
"""
