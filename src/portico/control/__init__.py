"""What an administrator does: use cases over storage.

Owns the AWS-shaped documents (validated against botocore's model of CreateGateway and CreateGatewayTarget), what is
not built yet and so refused by name, and every change of gateways, targets, issuers, users, clients, grants and
signing keys. A use case is one transaction: it writes, bumps the counters that replicas poll, writes revocations
where live tokens must end, and leaves a job where something has to be done afterwards. ``portico.yaml`` and the
command line go through the same functions. Neighbours: ``storage`` below; ``service`` and ``cli`` above. It knows
neither HTTP nor the data plane.
"""
