"""AgentCore Gateway's data plane. Read ``pipeline`` first.

``endpoint`` turns bytes into a judged request, ``methods`` holds what each JSON-RPC method does, ``pipeline`` is the
only path of a tool call. A ``snapshot`` is what a gateway's rows compile to, with a ``catalog`` of tools per endpoint
and revision; the ``store`` swaps snapshots. ``sessions``, ``inflight`` and ``streaming`` serve one client's
conversation, ``peers`` knows the other replicas, ``hop`` seals what is said to them, ``cancellation`` and
``session_ends`` are what they are told; ``resource_metadata`` serves RFC 9728. Knows neither how targets are spoken
to (``targets``) nor who a token belongs to (``authorizer``), and writes nothing but the journal, which sessions
ended, and that it lives.
"""
