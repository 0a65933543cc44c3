"""Use cases over storage: gateways, targets, issuers, users, clients, keys; ``portico.yaml`` goes through them."""
