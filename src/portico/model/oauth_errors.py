"""The branch of the error tree that OAuth names: what an issuer answers to clients.

``code`` is the ``error`` of the RFC that the class cites and ``public`` its ``error_description``. Clients get them as
JSON (RFC 6749 section 5.2) or as parameters of the redirect (section 4.1.2.1)::

    PorticoError
    └── OAuthError 400
        ├── InvalidRequest           invalid_request
        ├── InvalidClient 401        invalid_client
        ├── InvalidGrant             invalid_grant
        ├── UnauthorizedClient       unauthorized_client
        ├── UnsupportedGrantType     unsupported_grant_type
        ├── UnsupportedResponseType  unsupported_response_type
        ├── UnsupportedTokenType     unsupported_token_type
        ├── InvalidScope             invalid_scope
        ├── InvalidTarget            invalid_target
        ├── AccessDenied             access_denied
        ├── ServerError 502          server_error             an identity provider is at fault, or how it is set up
        ├── TemporarilyUnavailable 503  temporarily_unavailable  an identity provider cannot be asked right now
        ├── LoginRequired            login_required
        ├── ConsentRequired          consent_required
        ├── RequestNotSupported      request_not_supported
        ├── RequestUriNotSupported   request_uri_not_supported
        ├── RegistrationNotSupported registration_not_supported
        ├── InvalidRedirectUri       invalid_redirect_uri
        └── InvalidClientMetadata    invalid_client_metadata
"""

from portico.model.errors import PorticoError


class OAuthError(PorticoError):
    """An OAuth request is refused; ``code`` is the RFC's and ``public`` its ``error_description``."""

    status = 400


class InvalidRequest(OAuthError):
    """A parameter is missing, repeated or malformed (RFC 6749 sections 4.1.2.1 and 5.2)."""

    code = "invalid_request"


class InvalidClient(OAuthError):
    """The client is unknown, deleted or did not prove itself (RFC 6749 section 5.2); clients register again on it."""

    code = "invalid_client"
    status = 401


class InvalidGrant(OAuthError):
    """The code or refresh token is wrong, over, used or another client's (RFC 6749 section 5.2)."""

    code = "invalid_grant"


class UnauthorizedClient(OAuthError):
    """The client may not use this grant (RFC 6749 section 5.2)."""

    code = "unauthorized_client"


class UnsupportedGrantType(OAuthError):
    """No such grant here (RFC 6749 section 5.2)."""

    code = "unsupported_grant_type"


class UnsupportedResponseType(OAuthError):
    """Only ``code`` is served (RFC 6749 section 4.1.2.1)."""

    code = "unsupported_response_type"


class UnsupportedTokenType(OAuthError):
    """This kind of token cannot be revoked by itself (RFC 7009 section 2.2.1)."""

    code = "unsupported_token_type"


class InvalidScope(OAuthError):
    """A scope is unknown, malformed or more than was granted (RFC 6749 section 3.3)."""

    code = "invalid_scope"


class InvalidTarget(OAuthError):
    """The ``resource`` is missing, unknown or not the one that was authorized (RFC 8707 section 2)."""

    code = "invalid_target"


class AccessDenied(OAuthError):
    """The person said no (RFC 6749 section 4.1.2.1)."""

    code = "access_denied"


class ServerError(OAuthError):
    """An identity provider answers what it must not, or refuses us as we are set up (RFC 6749 section 4.1.2.1)."""

    code = "server_error"
    status = 502


class TemporarilyUnavailable(OAuthError):
    """An identity provider cannot be asked right now (RFC 6749 section 4.1.2.1)."""

    code = "temporarily_unavailable"
    status = 503


class LoginRequired(OAuthError):
    """``prompt=none`` and nobody is logged in (OpenID Connect Core section 3.1.2.6)."""

    code = "login_required"


class ConsentRequired(OAuthError):
    """``prompt=none``, but consent is asked for each time (OpenID Connect Core section 3.1.2.6)."""

    code = "consent_required"


class RequestNotSupported(OAuthError):
    """``request`` objects are not read (OpenID Connect Core section 3.1.2.6)."""

    code = "request_not_supported"


class RequestUriNotSupported(OAuthError):
    """``request_uri`` is never fetched (OpenID Connect Core section 3.1.2.6)."""

    code = "request_uri_not_supported"


class RegistrationNotSupported(OAuthError):
    """``registration`` is not read (OpenID Connect Core section 3.1.2.6)."""

    code = "registration_not_supported"


class InvalidRedirectUri(OAuthError):
    """A redirect URI may not be registered or used (RFC 7591 section 3.2.2)."""

    code = "invalid_redirect_uri"


class InvalidClientMetadata(OAuthError):
    """Another member of a registration is refused (RFC 7591 section 3.2.2)."""

    code = "invalid_client_metadata"
