"""Keys and what they protect.

Owns the keyring (ordered ``kid:key`` lines, hot-reloadable), sealing (AES-256-GCM with a purpose and associated data),
signing keys for access tokens, password hashing, and the steps of AWS's request signatures (SigV4). Knows nothing of
storage or OAuth, and of HTTP only what a signature covers.
"""
