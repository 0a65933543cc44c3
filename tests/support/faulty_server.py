"""An MCP server with its authorization server on one origin that works, until a test turns one of its knobs.

It is small and lenient where nobody looks: codes come at once, without a person. What a test wants otherwise it puts
into ``resource_metadata`` and ``server_metadata`` (members to change; None removes one), ``claims`` of the tokens, or
into ``rules``: the name of an endpoint → a function from :class:`Asked` to :class:`Reply`, or None to go on as usual.
"""

import base64
import hashlib
import json
import ssl
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

PAGE = "text/html; charset=utf-8"
JSON = "application/json"
POLL = 0.02  #: seconds between two looks whether to stop
WELL_KNOWN = "/.well-known"
RESOURCE_METADATA = f"{WELL_KNOWN}/oauth-protected-resource/mcp"
SERVER_METADATA = f"{WELL_KNOWN}/oauth-authorization-server"
CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "authorization, content-type, mcp-protocol-version",
    "access-control-expose-headers": "WWW-Authenticate, Mcp-Session-Id",
}
NAMES = {
    "/mcp": "mcp",
    RESOURCE_METADATA: "resource_metadata",
    SERVER_METADATA: "server_metadata",
    "/register": "register",
    "/authorize": "authorize",
    "/token": "token",
}


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    query: dict
    headers: dict  #: names in lower case
    body: bytes

    @property
    def form(self):
        return dict(parse_qsl(self.body.decode()))

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def token(self):
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass
class Reply:
    """One answer."""

    status: int = 200
    body: object = b""
    headers: dict = field(default_factory=dict)

    @property
    def content(self):
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


def refuse(code, description="", status=400):
    """An OAuth error."""
    return Reply(status, {"error": code} | ({"error_description": description} if description else {}))


def result(message, value):
    """A JSON-RPC result."""
    return Reply(200, {"jsonrpc": "2.0", "id": message["id"], "result": value})


def rpc_error(message, code, text, status=200, data=None):
    """A JSON-RPC error."""
    error = {"code": code, "message": text} | ({"data": data} if data else {})
    return Reply(status, {"jsonrpc": "2.0", "id": message.get("id"), "error": error})


class FaultyServer:
    """Listens on 127.0.0.1 from its making to :meth:`close`."""

    def __init__(self, *, tls: ssl.SSLContext | None = None):
        self.resource_metadata = {}
        self.server_metadata = {}
        self.claims = {}
        self.rules = {}
        self.versions = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
        self.scopes = ("mcp/invoke",)
        self.clients = {"robot": "robot's secret"}
        self.date_offset = 0.0  #: seconds by which the clock in ``Date`` is off
        self.asked = []
        self.tokens = []
        self.codes = {}
        self._registered = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.origin = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/mcp"
        threading.Thread(target=self._server.serve_forever, args=(POLL,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def paths(self):
        """What was asked, in order."""
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def answer(self, asked):
        """Answer one request: by a rule, else as a server that works."""
        self.asked.append(asked)
        name = NAMES.get(asked.path, "")
        ruled = self.rules[name](asked) if name in self.rules else None
        if ruled is not None:
            return ruled
        if asked.method == "OPTIONS":
            return Reply(204, headers=CORS)
        usual = getattr(self, f"_{name}", None)
        reply = Reply(404, {"error": "not_found"}) if usual is None else usual(asked)
        reply.headers = CORS | reply.headers
        return reply

    def challenge(self, status=401, **fields):
        """A refusal with a challenge; ``fields`` are more of it."""
        everything = {"resource_metadata": f"{self.origin}{RESOURCE_METADATA}", "scope": " ".join(self.scopes)} | fields
        text = ", ".join(f'{name}="{value}"' for name, value in everything.items() if value)
        return Reply(status, {"error": "refused"}, CORS | {"www-authenticate": f"Bearer {text}"})

    # Documents

    def _resource_metadata(self, _asked):
        usual = {
            "resource": self.url,
            "authorization_servers": [self.origin],
            "scopes_supported": list(self.scopes),
        }
        return Reply(200, _changed(usual, self.resource_metadata))

    def _server_metadata(self, _asked):
        usual = {
            "issuer": self.origin,
            "authorization_endpoint": f"{self.origin}/authorize",
            "token_endpoint": f"{self.origin}/token",
            "registration_endpoint": f"{self.origin}/register",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return Reply(200, _changed(usual, self.server_metadata))

    # The authorization server

    def _register(self, asked):
        client_id = f"client-{len(self._registered)}"
        self._registered[client_id] = asked.json["redirect_uris"]
        return Reply(201, asked.json | {"client_id": client_id, "token_endpoint_auth_method": "none"})

    def redirect(self, asked, **parameters):
        """Send the browser back to the client."""
        brought = {"state": asked.query.get("state", ""), "iss": self.origin} | parameters
        query = urlencode({name: value for name, value in brought.items() if value is not None})
        return Reply(302, headers={"location": f"{asked.query['redirect_uri']}?{query}"})

    def _authorize(self, asked):
        code = f"code-{len(self.codes)}-{'c' * 20}"
        self.codes[code] = asked.query
        return self.redirect(asked, code=code)

    def _token(self, asked):
        form = asked.form
        grant = form.get("grant_type")
        if grant == "authorization_code":
            return self._redeem(form)
        if grant == "refresh_token":
            known = form["refresh_token"] in self.tokens
            return self._issue(form, refresh=True) if known else refuse("invalid_grant")
        return self._issue(form | self._basic(asked), refresh=False)

    def _redeem(self, form):
        query = self.codes.pop(form["code"], None)
        if query is None:
            return refuse("invalid_grant", "Unknown code.")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if query.get("code_challenge", challenge) != challenge:
            return refuse("invalid_grant", "The verifier is wrong.")
        return self._issue(form, refresh=True)

    def _basic(self, asked):
        scheme, _, pair = asked.headers.get("authorization", "").partition(" ")
        if scheme != "Basic":
            return {}
        return {"client_id": base64.b64decode(pair).decode().partition(":")[0]}

    def _issue(self, form, *, refresh):
        token = self.mint(client_id=form.get("client_id", ""), aud=form.get("resource", self.url))
        self.tokens.append(token)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": " ".join(self.scopes)}
        if refresh:
            answer["refresh_token"] = f"refresh-{len(self.tokens)}-{'r' * 20}"
            self.tokens.append(answer["refresh_token"])
        return Reply(200, answer, {"cache-control": "no-store"})

    def mint(self, **claims):
        """Return what looks like a JWT; nobody here verifies it."""
        now = int(time.time())
        usual = {"iss": self.origin, "sub": "ada", "iat": now, "exp": now + 300, "scope": " ".join(self.scopes)}
        parts = ({"alg": "ES256", "typ": "at+jwt"}, _changed(usual | claims, self.claims))
        return ".".join([*(_encoded(part) for part in parts), "c2lnbmF0dXJl"])

    # The MCP server

    def _mcp(self, asked):
        if not asked.token:
            return self.challenge()
        return Reply(204) if asked.method == "DELETE" else self._message(asked.json)

    def _message(self, message):
        match message["method"]:
            case "notifications/initialized":
                return Reply(202)
            case "server/discover":
                return self._discover(message)
            case "initialize":
                return self._initialize(message)
            case "tools/list":
                return result(message, {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]})
            case _:
                return result(message, {"content": [{"type": "text", "text": "hello"}]})

    def _discover(self, message):
        if "2026-07-28" in self.versions:
            return result(message, {"supportedVersions": list(self.versions), "capabilities": {"tools": {}}})
        return rpc_error(message, -32601, "Method not found", status=404)

    def _initialize(self, message):
        legacy = [version for version in self.versions if version < "2026"]
        if not legacy:
            supported = {"supported": list(self.versions)}
            return rpc_error(message, -32022, "Unsupported protocol version.", status=400, data=supported)
        wanted = message["params"]["protocolVersion"]
        chosen = wanted if wanted in legacy else legacy[-1]
        reply = result(message, {"protocolVersion": chosen, "capabilities": {"tools": {}}, "serverInfo": {}})
        reply.headers = {"mcp-session-id": "session-of-the-test"}
        return reply


def _changed(document, changes):
    merged = document | changes
    return {name: value for name, value in merged.items() if value is not None}


def _encoded(part):
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        def _serve(self):
            size = int(self.headers.get("content-length", 0))
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, self.rfile.read(size))
            reply = server.answer(asked)
            self.send_response_only(reply.status)
            usual = {"content-type": JSON, "date": formatdate(time.time() + server.date_offset, usegmt=True)}
            for name, value in (usual | reply.headers).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        do_GET = do_POST = do_DELETE = do_OPTIONS = _serve  # noqa: N815  # the base class's names

        def log_message(self, *_args):
            pass

    return Handler
