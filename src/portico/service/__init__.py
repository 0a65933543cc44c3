"""The process, alone or as one of several workers: settings, composition, the outermost ASGI callable, shutdown.

Owns what is true of a whole process: ``portico.yaml`` and ``PORTICO_*`` read into one frozen value, every part made
once by plain constructors and closed in reverse order, the polling of counters, the watched file, draining. Holds no
business rule. Above it stands only the command line.
"""
