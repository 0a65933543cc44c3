"""Façades between real providers and another gateway; one at a time for each worker."""

import pytest

from support.provider.facade_rig import HOUR, facade_rig

GRACE_SECONDS = 30

pytest.register_assert_rewrite("flows", "provider_course")


@pytest.fixture(scope="session")
def running(request, tmp_path_factory):
    """A façade of (profile, token mode), by indirect parameters (see ``flows.py``)."""
    profile, tokens = request.param
    with facade_rig(profile, tokens=tokens, directory=tmp_path_factory.mktemp(f"{profile}-{tokens}")) as rig:
        # Clients refresh twice at once. Replicas that share nothing then need a provider that forgives it (or a store).
        rig.idp.change(grace_seconds=GRACE_SECONDS)
        yield rig


@pytest.fixture
def rig(running):
    """The façade as it was at first: no faults, no memory of what it saw."""
    running.idp.forget_requests()
    running.idp.forget_sessions()
    running.proxy.forget()
    yield running
    running.proxy.before = lambda _line: None
    running.idp.heal()
    running.idp.change(access_seconds=HOUR)
