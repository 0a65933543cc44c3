"""What can be wrong between a client and a server: one row per fault.

``docs/doctor.md`` shows the same table with how each fault is seen. Ids are stable; sentences may change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that can be wrong."""

    id: str
    title: str  #: what is wrong, in a line
    cause: str
    fix: str


_ALL: Final = (
    # The way there
    Fault(
        id="unreachable",
        title="Nobody answers at this address",
        cause="The name does not resolve, nothing listens on the port, or a firewall is between.",
        fix="Check the URL, that the server runs, and that this machine may reach it (VPN, proxy variables).",
    ),
    Fault(
        id="timeout",
        title="No answer in time",
        cause="The server, or what it asks behind it, is too slow or hangs.",
        fix="Look at the server's log and load; a longer --timeout only tells whether it ever answers.",
    ),
    Fault(
        id="tls",
        title="No secure connection",
        cause="The certificate is expired, for another name or from an unknown authority, or the port speaks no TLS.",
        fix="Renew or complete the certificate (with its chain); for a private authority set SSL_CERT_FILE.",
    ),
    Fault(
        id="server_error",
        title="The server fails",
        cause="A fault of the server or of a proxy in front of it, not of the client.",
        fix="Look into its log at this time; a 502, 503 or 504 often comes from the proxy, whose upstream is away.",
    ),
    Fault(
        id="redirected",
        title="The address redirects",
        cause="Clients do not follow redirects with a token, or lose the body or the Authorization header on the way.",
        fix="Give the clients the final URL: https, the right host, with the trailing slash or without.",
    ),
    Fault(
        id="html",
        title="A web page where JSON belongs",
        cause="A login wall, a proxy or a single-page application answers in place of the server.",
        fix="Route this path to the server, before any catch-all page and outside of browser logins.",
    ),
    Fault(
        id="not_found",
        title="There is no MCP endpoint at this URL",
        cause="The path is wrong, or the proxy in front cuts it off.",
        fix="Use the full URL of the endpoint; for Portico it ends with /g/{gatewayId}/mcp.",
    ),
    Fault(
        id="turned_away",
        title="The server turns the request away before it asks for a token",
        cause="A filter on host names, origins or addresses refuses it: 403 or 421 without a challenge.",
        fix="Allow this Host and this network; with Portico see public_url and allowed_hosts.",
    ),
    Fault(
        id="signed_endpoint",
        title="The endpoint wants signed requests, not tokens",
        cause="The gateway's authorizer is AWS_IAM (SigV4), which MCP clients do not speak.",
        fix="Give the gateway a CUSTOM_JWT authorizer, or call it through a signing proxy such as mcp-proxy-for-aws.",
    ),
    Fault(
        id="not_mcp",
        title="The answer is no MCP",
        cause="Something else than an MCP server of the Streamable HTTP transport listens there.",
        fix="Check the URL; servers with the old SSE transport only are not reached by today's clients.",
    ),
    Fault(
        id="cors_missing",
        title="Browsers may not read the answer",
        cause="The client runs in a browser, and the answer lacks a CORS header that the browser asks for.",
        fix="Answer OPTIONS without a token, allow the client's origin and headers and expose WWW-Authenticate; with "
        "Portico add the origin to x-portico.allowedOrigins.",
    ),
    # Discovery
    Fault(
        id="no_challenge",
        title="401 without a Bearer challenge",
        cause="The guard of the server, or a proxy before it, answers 401 and leaves WWW-Authenticate out.",
        fix='Send WWW-Authenticate: Bearer resource_metadata="..." with every 401 (RFC 9728 section 5.1).',
    ),
    Fault(
        id="malformed_challenge",
        title="The challenge cannot be read",
        cause="WWW-Authenticate does not follow RFC 9110 section 11.6.1; clients then miss resource_metadata.",
        fix="Send one Bearer challenge whose parameters are quoted and separated by commas.",
    ),
    Fault(
        id="metadata_protected",
        title="The metadata is behind authentication",
        cause="The guard covers the well-known paths too, so a client without a token cannot learn how to get one.",
        fix="Serve /.well-known/ without a token, on the resource and on the authorization server.",
    ),
    Fault(
        id="resource_metadata_missing",
        title="There is no protected resource metadata",
        cause="None of the places of RFC 9728 has the document, and the server's origin is no authorization server.",
        fix="Serve /.well-known/oauth-protected-resource{path of the endpoint} and name it in the challenge.",
    ),
    Fault(
        id="no_authorization_server",
        title="The resource metadata names no authorization server",
        cause="authorization_servers is missing, empty or no list of URLs.",
        fix="Put the issuer's URL there, byte for byte as it stands in its own metadata.",
    ),
    Fault(
        id="resource_mismatch",
        title="The resource metadata is for another resource",
        cause="`resource` differs from the URL that the client was given; behind a proxy it is often http or inner.",
        fix="Publish exactly the URL that clients use: configure the public URL, do not derive it from the request.",
    ),
    Fault(
        id="server_metadata_missing",
        title="There is no authorization server metadata",
        cause="None of the places of RFC 8414 and OpenID Connect Discovery has the document for this issuer.",
        fix="Check the issuer in authorization_servers; a provider without such metadata needs a façade in front.",
    ),
    Fault(
        id="issuer_trailing_slash",
        title="Two spellings of the issuer, with and without a trailing slash",
        cause="Clients compare `issuer` byte for byte with what authorization_servers says (RFC 8414 section 3.3).",
        fix="Write one spelling in authorization_servers, in the metadata, in `iss` of redirects and tokens.",
    ),
    Fault(
        id="issuer_mismatch",
        title="The metadata speaks for another issuer",
        cause="A façade or proxy publishes the issuer of the provider behind it, or an inner address.",
        fix="`issuer` must be the very URL that authorization_servers names (RFC 8414 section 3.3).",
    ),
    Fault(
        id="endpoint_missing",
        title="The metadata lacks an endpoint, or it is not https",
        cause="authorization_endpoint or token_endpoint is missing, no URL, or plain http on a public host.",
        fix="Publish both as https URLs.",
    ),
    Fault(
        id="no_s256",
        title="PKCE with S256 is not advertised",
        cause="code_challenge_methods_supported is missing or lacks S256; clients must refuse such a server (Cognito).",
        fix='Advertise ["S256"]; in front of a provider that does not, put a façade that does.',
    ),
    # Registration
    Fault(
        id="no_registration",
        title="The client has no way to become known",
        cause="There is no registration_endpoint, metadata documents are not supported, and no client id was given.",
        fix="Register a client by hand and give its id (--client-id here), or put a façade in front that registers.",
    ),
    Fault(
        id="registration_refused",
        title="The registration is refused",
        cause="The server does not register this client: switched off, limited, or it dislikes what the client sends.",
        fix="Read the server's words above; allow it, or register a client by hand and give its id.",
    ),
    Fault(
        id="registration_protected",
        title="Registration needs a token",
        cause="The registration endpoint asks for an initial access token, which MCP clients do not have.",
        fix="Open the registration for public clients, or register a client by hand and give its id.",
    ),
    Fault(
        id="registration_redirect",
        title="The server does not register this client's redirect URI",
        cause="Only some kinds are allowed (loopback, https, an exact list), and this client's is not among them.",
        fix="Allow exactly this URI; with Portico add it to the issuer's allowedRedirectUris.",
    ),
    # Authorization
    Fault(
        id="redirect_mismatch",
        title="The redirect URI is not the registered one",
        cause="The comparison is exact: host (localhost is not 127.0.0.1), port, path, trailing slash.",
        fix="Register exactly the redirect URI that was sent; loopback ports must be free (RFC 8252 section 7.3).",
    ),
    Fault(
        id="client_unknown",
        title="The server does not know the client",
        cause="The client id is wrong, was deleted, or belongs to another tenant or issuer.",
        fix="Check the client id at this very issuer; a client that registered itself must register anew.",
    ),
    Fault(
        id="document_refused",
        title="The client's metadata document is not accepted",
        cause="The server advertises metadata documents (CIMD) and cannot fetch this one, or distrusts its host.",
        fix="Let the server reach the document's host over https and allow it, or do not advertise "
        "client_id_metadata_document_supported, so that clients register.",
    ),
    Fault(
        id="invalid_scope",
        title="A scope is refused",
        cause="The client asks for a scope that the server does not know or does not allow this client.",
        fix="Allow the scopes to the client, or ask for others (--scope); what is asked stands in the challenge or in "
        "scopes_supported of the resource.",
    ),
    Fault(
        id="resource_refused",
        title="The provider refuses `resource`",
        cause="Clients send the endpoint's URL as resource (RFC 8707), and the provider knows no such target; Entra "
        "says AADSTS9010010.",
        fix="Register the URL at the provider (Entra: as identifier URI), or put a façade in front that takes it.",
    ),
    Fault(
        id="resource_missing",
        title="The server does not know what the token is to be for",
        cause="This client sends no resource (RFC 8707), and the server serves several.",
        fix="Give the client a default resource; with Portico it is the client's defaultResource.",
    ),
    Fault(
        id="pkce_required",
        title="The server wants PKCE and this client does none",
        cause="code_challenge is missing: the client is of a kind that does not send it.",
        fix="Make the client a confidential one for which PKCE is not required.",
    ),
    Fault(
        id="login_declined",
        title="The login was declined",
        cause="The person, or a rule of the provider, said no (access_denied).",
        fix="Log in as somebody who may, and allow what is asked on the consent page.",
    ),
    Fault(
        id="authorization_refused",
        title="The authorization request is refused",
        cause="The server's words above say why.",
        fix="Look for its error code in the server's documentation and log.",
    ),
    Fault(
        id="state_wrong",
        title="The redirect brings back another state",
        cause="The server changes, cuts or loses `state`; clients must refuse the answer (RFC 6749 section 10.12).",
        fix="Return state byte for byte; mind its length and its URL encoding.",
    ),
    Fault(
        id="iss_missing",
        title="The redirect lacks iss",
        cause="authorization_response_iss_parameter_supported promises it (RFC 9207 section 3).",
        fix="Add iss to success and error redirects, or do not advertise it.",
    ),
    Fault(
        id="iss_wrong",
        title="The redirect comes from another issuer",
        cause="iss differs from the metadata's issuer; clients take it for a mix-up attack (RFC 9207 section 2.4).",
        fix="Send the issuer of the metadata byte for byte; a façade must not pass on its provider's iss.",
    ),
    # Token
    Fault(
        id="unsupported_grant_type",
        title="The token endpoint does not offer this grant",
        cause="The server has the grant switched off, or it is another kind of server than the client needs.",
        fix="Enable the grant: authorization_code and refresh_token for people, client_credentials for machines.",
    ),
    Fault(
        id="unauthorized_client",
        title="The client may not use this grant",
        cause="The grant exists, but this client was not given it; Cognito allows no client both of authorization_code "
        "and client_credentials.",
        fix="Allow the grant to this client, or use another client for it.",
    ),
    Fault(
        id="invalid_client",
        title="The client's authentication fails",
        cause="The secret is wrong, was rotated, is sent the wrong way (Basic or body), or the client has none.",
        fix="Check id and secret, and the client's token_endpoint_auth_method.",
    ),
    Fault(
        id="invalid_grant",
        title="The code or refresh token is refused",
        cause="It was used before, expired, is another client's, or redirect URI or PKCE verifier do not fit. Cognito "
        "says this also to a code that was asked for without scope.",
        fix="Look into the server's log; check that replicas share codes, and that nothing fetches the redirect twice.",
    ),
    Fault(
        id="token_answer",
        title="The token answer cannot be used",
        cause="It is no JSON with access_token and token_type Bearer (RFC 6749 section 5.1).",
        fix="Answer with application/json; a provider that cannot needs a façade in front.",
    ),
    Fault(
        id="refresh_refused",
        title="The refresh token does not work",
        cause="The server gave it and refuses it: it is not stored, bound to something else, or its grant is off.",
        fix="Without it people log in anew at every expiry; enable refresh_token for this client.",
    ),
    # The token at the gateway
    Fault(
        id="client_not_allowed",
        title="The token's scopes are right, its client is not allowed",
        cause="403 insufficient_scope although every scope is there: allowedClients or a custom claim rule of the "
        "gateway does not name this token's client.",
        fix="Add the client id to allowedClients; for clients that register themselves leave allowedClients empty.",
    ),
    Fault(
        id="scope_missing",
        title="The token lacks a scope",
        cause="The gateway asks for a scope that the token does not carry: not asked for, not granted, or left out.",
        fix="Ask for it (--scope) and allow it to client and person; with Cognito it is the resource server's scope.",
    ),
    Fault(
        id="audience_wrong",
        title="The token is for another audience",
        cause="`aud` is not what the gateway accepts: the provider ignored `resource`, or allowedAudience is another.",
        fix="Ask for a token with resource set to the gateway's URL, or put the token's aud into allowedAudience.",
    ),
    Fault(
        id="token_issuer",
        title="The token is from another issuer",
        cause="`iss` of the token is not the issuer of the metadata, such as v1 tokens of Entra.",
        fix="Point the gateway's discoveryUrl to the token's issuer, or have the provider issue the other version.",
    ),
    Fault(
        id="token_expired",
        title="The token has expired",
        cause="Its exp is in the past.",
        fix="Get a new one.",
    ),
    Fault(
        id="clock_skew",
        title="Clocks disagree",
        cause="A fresh token counts as expired or not yet valid: the issuer's clock or the gateway's is wrong.",
        fix="Synchronize the clocks (NTP) of both servers.",
    ),
    Fault(
        id="token_refused",
        title="The gateway refuses the token",
        cause="Signature, type, key or a rule that the token's content does not show.",
        fix="Look into the gateway's log; with Portico set exceptionLevel to DEBUG and read the challenge.",
    ),
    # MCP
    Fault(
        id="protocol_version",
        title="No common protocol version",
        cause="The client speaks versions that the gateway does not offer.",
        fix="Add the version to the gateway's supportedVersions, or use a client that speaks one of those it offers.",
    ),
    Fault(
        id="rpc_error",
        title="The server answers with an error",
        cause="The MCP server refuses the request; its words are above.",
        fix="Look into the server's log at this time.",
    ),
    Fault(
        id="outbound_token",
        title="The gateway cannot get its own token for a target",
        cause="The target's credential provider refuses the gateway's token request.",
        fix="Check scopes, grant, id and secret of the target's credential provider; exceptionLevel DEBUG says more.",
    ),
    Fault(
        id="targets_unavailable",
        title="The list is empty because the gateway's targets are not ready",
        cause="The gateway could not fetch its targets' tools: they are down, or there is no credential for them.",
        fix="Read the targets' statusReasons (GetGatewayTarget), mend what they name, synchronize again.",
    ),
    Fault(
        id="target_failed",
        title="The gateway says only that something inside failed",
        cause="The target or its credential failed, and the gateway hides why.",
        fix="Set the gateway's exceptionLevel to DEBUG, call again and read the text; then look at the target's log.",
    ),
    Fault(
        id="tool_error",
        title="The tool reports an error",
        cause="The call reached the tool, which failed or disliked its arguments.",
        fix="Compare the arguments with the tool's inputSchema, and look at the tool's log.",
    ),
)

#: Every fault, by id.
FAULTS: Final[Mapping[str, Fault]] = {fault.id: fault for fault in _ALL}
