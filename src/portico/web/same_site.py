"""Refusing forms that another site posts (CWE-352), beside the sealed token that every form of ours carries."""

from urllib.parse import urlsplit

from starlette.requests import Request

from portico.model.errors import Forbidden


def refuse_cross_site(request: Request, public_url: str) -> None:
    """Check where a posted form came from, as far as the browser says so.

    Our pages send no referrer, so browsers write ``Origin: null`` on their forms; ``Sec-Fetch-Site`` still tells.

    Raises:
        Forbidden: another site sent the form.
    """
    fetched_from = request.headers.get("sec-fetch-site")
    if fetched_from not in {None, "same-origin", "none"}:
        raise Forbidden("This form was sent by another site.", detail=f"sec-fetch-site {fetched_from}")
    origin = request.headers.get("origin")
    parts = urlsplit(public_url)
    if origin not in {None, "null", f"{parts.scheme}://{parts.netloc}"} and fetched_from is None:
        raise Forbidden("This form was sent by another site.", detail=f"origin {origin}")
