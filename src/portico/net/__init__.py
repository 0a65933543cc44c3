"""Outbound HTTP, all of it: ``relay`` for targets, ``fetch`` for metadata and keys, one egress rule for both."""
