"""Which fault an OAuth error means: by its code, and by what providers say in its place. Pure."""

import re
from typing import Final

#: Codes that mean one thing wherever they stand.
_CODES: Final = {
    "invalid_scope": "invalid_scope",
    "invalid_target": "resource_refused",
    "redirect_mismatch": "redirect_mismatch",  # Cognito
    "redirect_uri_mismatch": "redirect_mismatch",  # Google, GitHub
    "invalid_redirect_uri": "redirect_mismatch",
    "unsupported_grant_type": "unsupported_grant_type",
    "unsupported_response_type": "authorization_refused",
    "invalid_client_metadata": "document_refused",
    "access_denied": "login_declined",
    "server_error": "server_error",
    "temporarily_unavailable": "server_error",
}
#: What is surer than any code: numbers of Entra's, whose codes say less, and codes of others inside of words.
_SURE: Final = (
    (re.compile(r"AADSTS9010010|AADSTS500011|AADSTS50001\b|\binvalid_target\b"), "resource_refused"),
    (re.compile(r"AADSTS50011|AADSTS500113|redirect_uri_mismatch|redirect_mismatch"), "redirect_mismatch"),
    (re.compile(r"AADSTS(?:70011|65005|650053|28002|28003)|\binvalid_scope\b"), "invalid_scope"),
    (re.compile(r"AADSTS(?:700016|90002|700038)"), "client_unknown"),
    (re.compile(r"AADSTS(?:7000215|7000218|7000222)"), "invalid_client"),
)
#: What stands in descriptions and pages, the narrower words first.
_WORDS: Final = (
    (re.compile(r"(?i)metadata document|\bclient[_ ]metadata\b|\binvalid_client_metadata\b"), "document_refused"),
    (re.compile(r"(?i)redirect[ _]ur[il]"), "redirect_mismatch"),
    (re.compile(r"(?i)code_challenge|\bpkce\b"), "pkce_required"),
    (re.compile(r"(?i)\bresource\b"), "resource_refused"),
    (re.compile(r"(?i)\bscopes?\b"), "invalid_scope"),
    (re.compile(r"(?i)\bclient(?:[ _]id)?\b"), "client_unknown"),
)
#: Codes that say so little that the words beside them decide.
_VAGUE: Final = frozenset({"", "invalid_request"})


def fault_of(code: str, text: str, *, otherwise: str, resource: str) -> str:
    """Return the id of the fault that ``code`` and ``text`` mean, else ``otherwise``.

    ``resource`` is what was asked for: an error about it means another thing when it is empty.
    """
    fault = _fault_of(code, text, otherwise)
    return "resource_missing" if fault == "resource_refused" and not resource else fault


def _fault_of(code: str, text: str, otherwise: str) -> str:
    for pattern, fault in _SURE:
        if pattern.search(text):
            return fault
    if code in _CODES:
        return _CODES[code]
    if code in _VAGUE:
        return next((fault for pattern, fault in _WORDS if pattern.search(text)), otherwise)
    return otherwise
