"""The authorization servers: people log in and consent, clients get tokens.

Each is under ``/i/{name}``; the one named ``root`` is the origin itself.

Owns its routes (:meth:`portico.issuer.app.IssuerApp.routes`), the handlers behind them, the issuers and signing keys in
memory, and the login of local users. What is given and taken is kept by one of two ledgers, rows or sealed values
(:mod:`portico.issuer.ledger`). The rules are in :mod:`portico.oauth`, rows in :mod:`portico.storage`, the look of
pages and the browser's cookies in :mod:`portico.web`. Who manages issuers, users, clients and keys is ``control``.
"""
