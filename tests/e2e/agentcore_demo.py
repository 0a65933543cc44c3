"""A demo that is administered as AWS's guides say: by boto3, the `aws` CLI and AWS's SDK, all unmodified."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import boto3
import httpx2
import yaml
from botocore.config import Config

ROLE = "arn:aws:iam::123456789012:role/my-gateway-service-role"
CONTROL = "bedrock-agentcore-control"
READY_SECONDS = 60.0
VERSIONS = ["2026-07-28", "2025-11-25"]


class Administered:
    """The demo, its key, and clients that use it."""

    def __init__(self, demo, home):
        self.demo = demo
        self.home = home  # of the CLI: nobody's own configuration takes part
        self.aws = demo.facts["aws"]
        self.control = self.client(CONTROL)
        self.data = self.client("bedrock-agentcore")

    def client(self, service, **options):
        return boto3.client(
            service,
            endpoint_url=self.aws["endpoint_url"],
            region_name=self.aws["region"],
            aws_access_key_id=self.aws["access_key_id"],
            aws_secret_access_key=self.aws["secret_access_key"],
            config=Config(proxies={}, retries={"max_attempts": 0}),
            **options,
        )

    def close(self):
        self.control.close()
        self.data.close()

    @property
    def environ(self):
        """What a person exports to point any of AWS's programs here."""
        ours = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PORTICO_"))}
        url = self.aws["endpoint_url"]
        return ours | {
            "AWS_ACCESS_KEY_ID": self.aws["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": self.aws["secret_access_key"],
            "AWS_REGION": self.aws["region"],
            "AWS_DEFAULT_REGION": self.aws["region"],
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL": url,
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "NO_PROXY": "127.0.0.1",
            "HOME": str(self.home),
        }

    def cli(self, *arguments, refused=None):
        """Run `aws bedrock-agentcore-control ...`; returns its JSON, or what it says of the expected refusal."""
        command = [str(Path(sys.executable).with_name("aws")), CONTROL, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=self.environ)
        if refused is not None:
            assert done.returncode != 0, done.stdout
            assert f"({refused})" in done.stderr, done.stderr
            return done.stderr
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip().startswith(("{", "[")) else done.stdout.strip()

    @property
    def endpoint(self):
        """A real MCP server of the demo's."""
        declared = yaml.safe_load((self.demo.data_dir / "portico.yaml").read_text())
        targets = {target["name"]: target for target in declared["gateways"][0]["targets"]}
        return targets["calculator"]["targetConfiguration"]["mcp"]["mcpServer"]["endpoint"]

    @property
    def server(self):
        """A target configuration for it."""
        return {"mcp": {"mcpServer": {"endpoint": self.endpoint}}}

    @property
    def discovery_url(self):
        return f"{self.demo.facts['issuer']}/.well-known/openid-configuration"

    def token(self, resource):
        """A machine's token for a gateway."""
        machine = self.demo.facts["machine"]
        form = {"grant_type": "client_credentials", "scope": machine["scope"], "resource": resource}
        login = (machine["client_id"], machine["client_secret"])
        answer = httpx2.post(machine["token_url"], data=form, auth=login, trust_env=False, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    def ready(self, gateway_id, target_id, *, past=("CREATING", "UPDATING", "SYNCHRONIZING")):
        """Wait until a target has left its passing states; returns it."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            target = self.control.get_gateway_target(gatewayIdentifier=gateway_id, targetId=target_id)
            if target["status"] not in past:
                return target
            assert time.monotonic() < deadline, target
            time.sleep(0.1)

    def served(self, url, expected, token=None):
        """Wait until a gateway answers a list of tools with one that is expected; returns all of their names."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            names, text = list_tools(url, token)
            if expected in names:
                return names
            assert time.monotonic() < deadline, text
            time.sleep(0.1)


def mcp(url, method, token=None, **params):
    """One request of the modern era."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": method, "accept": "application/json"}
    headers["accept"] += ", text/event-stream"
    if "name" in params:
        headers["mcp-name"] = params["name"]
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | {"_meta": meta}}
    return httpx2.post(url, json=message, headers=headers, timeout=30, trust_env=False)


def list_tools(url, token=None):
    answer = mcp(url, "tools/list", token)
    if answer.status_code != 200:
        return [], answer.text
    text = answer.text
    body = text if text.startswith("{") else text.split("data: ", 1)[1].splitlines()[0]
    return [tool["name"] for tool in json.loads(body)["result"]["tools"]], text
