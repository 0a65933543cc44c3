"""What every test shares."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["support.databases", "support.postgres", "support.unhurried"]

# Examples share two cores with servers and browsers: how long one takes says nothing about the code.
settings.register_profile("portico", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("portico")
