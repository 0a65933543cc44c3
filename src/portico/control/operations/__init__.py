"""The operations of the AgentCore API that Portico offers, one function each, named after its operation.

An operation gets a document that the service model allows and returns one; it knows neither HTTP nor signatures.
Which of them are offered stands in :mod:`portico.control.api.offered`.
"""
