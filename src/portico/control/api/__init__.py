"""The AgentCore API over HTTP, generated from botocore's service models.

Owns routing, parsing, validation, rendering and the order in which they happen (:mod:`portico.control.api.front`), and
the list of what is offered. Owns no operation: those are in ``control.operations``, one function each. Neighbours:
``control.access`` says who calls and whether they may; ``service`` mounts the front.
"""
