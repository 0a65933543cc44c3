"""Shared ASGI kit: bounded bodies, CORS, forms, browser session, CSRF, security headers, page layout."""
