"""Keys and what they protect.

Owns the keyring (ordered ``kid:key`` lines, hot-reloadable), sealing (AES-256-GCM with a purpose and
associated data), signing keys for access tokens, and password hashing. Knows nothing of HTTP, storage or OAuth.
"""
