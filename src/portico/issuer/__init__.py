"""The authorization server: metadata, registration, authorize, login, consent, token, keys."""
