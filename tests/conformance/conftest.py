"""One fixtures' server, one Portico and one forwarder for all conformance tests, and one run of the suite per leg."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from conformance import house, suite
from conformance.house import PASSWORD, PERSON, PUBLIC_CLIENT, Portico
from conformance.suite import Run
from e2e.person import Person


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
def authorization_run(portico: Portico, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Return what runs the authorization scenarios once against an issuer of a form."""
    runs: dict[str, Run] = {}

    def run(form: str) -> Run:
        if form not in runs:
            [port] = house.free_ports(1)
            person = Person(name=PERSON, password=PASSWORD).log_in
            asked = (portico.issuers[form], portico.resources[form], PUBLIC_CLIENT, port)
            results = tmp_path_factory.mktemp("results")
            runs[form] = asyncio.run(suite.run_authorization(*asked, results, person))
        return runs[form]

    return run
