"""Values and errors that every layer shares.

Owns the frozen values of the domain (gateway, target, tool, principal, secret) and the one error tree.
Does no I/O, reads no clock and logs nothing. Everything above imports it; it imports nothing of Portico.
"""
