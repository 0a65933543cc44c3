"""One real `portico demo` for all end-to-end tests of a worker."""

from collections.abc import Iterator

import pytest
from demo_process import Demo, start_demo, stop


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = start_demo(tmp_path_factory.mktemp("demo") / "data")
    try:
        yield running
    finally:
        stop(running)
