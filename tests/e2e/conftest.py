"""One real `portico demo` for all end-to-end tests of a worker."""

from collections.abc import Iterator

import pytest
from agentcore_demo import Administered
from demo_process import Demo, start_demo, stop


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = start_demo(tmp_path_factory.mktemp("demo") / "data")
    try:
        yield running
    finally:
        stop(running)


@pytest.fixture(scope="session")
def administered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Administered]:
    """A demo of its own for those who change gateways: the other's tests count on there being one."""
    place = tmp_path_factory.mktemp("administered")
    (place / "home").mkdir()
    running = start_demo(place / "data")
    try:
        made = Administered(running, place / "home")
        yield made
        made.close()
    finally:
        stop(running)
