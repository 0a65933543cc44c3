"""Signals of the process on its event loop."""

import asyncio
import signal
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager


@contextmanager
def handling(handlers: Mapping[signal.Signals, Callable[[], object]]) -> Generator[None]:
    """Handle signals where that is possible: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
