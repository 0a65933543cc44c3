"""What the demo says when it is ready: lines to paste."""

from typing import Any, Final

_WIDTH: Final = 78  #: columns of the rule


def announcement(facts: dict[str, Any], *, facts_file: str) -> str:
    """Return the text for the terminal."""
    url, user, machine, aws = facts["mcp_url"], facts["user"], facts["machine"], facts["aws"]
    return f"""
{"─" * _WIDTH}
Portico is ready.

  gateway   {url}
  user      {user["name"]}
  password  {user["password"]}

Connect a client; it opens your browser for the login:

  Claude Code   claude mcp add --transport http portico {url}
  Inspector     npx @modelcontextprotocol/inspector --transport http --server-url {url}
  mcp-remote    npx mcp-remote {url}
  portico       portico login {url}
                portico tools {url}
                portico call {url} calculator___add_numbers '{{"a": 2, "b": 40}}'

As a machine, with nothing but curl:

  TOKEN=$(curl -s -u {machine["client_id"]}:{machine["client_secret"]} \\
    -d grant_type=client_credentials -d scope={machine["scope"]} \\
    {machine["token_url"]} | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
  curl -s {url} -H "Authorization: Bearer $TOKEN" \\
    -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\
    -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' \\
    -H 'Mcp-Name: calculator___add_numbers' \\
    -d '{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"calculator___add_numbers",
         "arguments":{{"a":2,"b":40}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
         "io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}'

As its administrator, with boto3 or the aws CLI:

  export AWS_ACCESS_KEY_ID={aws["access_key_id"]} AWS_DEFAULT_REGION={aws["region"]}
  export AWS_SECRET_ACCESS_KEY={aws["secret_access_key"]}
  aws bedrock-agentcore-control list-gateways --endpoint-url {aws["endpoint_url"]}

The same for a program: {facts_file}
Ctrl-C stops everything.
{"─" * _WIDTH}
"""
