"""Child processes under supervision.

Owns starting, draining and ending them, and that none outlives Portico. Knows nothing of what they serve.
"""
