"""Inbound: a bearer token becomes a ``Principal``, or a refusal that says why."""
