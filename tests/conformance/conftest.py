"""One fixtures' server, one Portico, forwarder and façade for all conformance tests; one run of the suite per leg."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import pytest

from conformance import house, suite
from conformance.house import FACADE, PUBLIC_CLIENT, Portico, Subject
from conformance.suite import Run


@pytest.fixture(scope="session")
def portico(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portico]:
    directory = tmp_path_factory.mktemp("conformance")
    with house.everything_server(directory) as endpoint, house.portico(directory, endpoint) as running:
        yield running


@pytest.fixture(scope="session")
def server_run(portico: Portico, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Return what runs a requirement set once."""
    runs: dict[str, Run] = {}

    def run(revision: str) -> Run:
        if revision not in runs:
            results = tmp_path_factory.mktemp("results")
            runs[revision] = asyncio.run(suite.run_server(portico.target, revision, results))
        return runs[revision]

    return run


@pytest.fixture(scope="session")
def subject(portico: Portico, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Subject]]:
    """Return what gives the issuer of a form; the façade starts when it is first asked for."""
    found: dict[str, Subject] = {}
    with contextlib.ExitStack() as stack:

        def subject(form: str) -> Subject:
            if form not in found:
                if form == FACADE:
                    found[form] = stack.enter_context(house.facade(tmp_path_factory.mktemp(form)))
                else:
                    found[form] = house.subject(portico, form)
            return found[form]

        yield subject


@pytest.fixture(scope="session")
def authorization_run(
    subject: Callable[[str], Subject], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Run]:
    """Return what runs the authorization scenarios once against an issuer of a form."""
    runs: dict[str, Run] = {}

    def run(form: str) -> Run:
        if form not in runs:
            asked = subject(form)
            [port] = house.free_ports(1)
            leg = (asked.issuer, asked.resource, PUBLIC_CLIENT, port)
            results = tmp_path_factory.mktemp("results")
            runs[form] = asyncio.run(suite.run_authorization(*leg, results, asked.person.log_in))
        return runs[form]

    return run
