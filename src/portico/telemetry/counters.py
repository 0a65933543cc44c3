"""Counters in memory: what happened how often since the process began. Reading them costs the call path nothing."""

from collections import Counter

Labels = tuple[str, ...]


class Counters:
    """Named counters with a few label values each. Not thread-safe; the event loop is one thread."""

    def __init__(self) -> None:
        self._values: Counter[tuple[str, Labels]] = Counter()

    def add(self, name: str, *labels: str, amount: int = 1) -> None:
        """Count ``amount`` more of ``name``. Label values come from closed sets, never from a caller's input."""
        self._values[name, labels] += amount

    def get(self, name: str, *labels: str) -> int:
        """Return one counter, 0 when nothing was counted."""
        return self._values[name, labels]

    def snapshot(self) -> dict[str, dict[Labels, int]]:
        """Return a copy of all counters, by name and labels."""
        copied: dict[str, dict[Labels, int]] = {}
        for (name, labels), value in sorted(self._values.items()):
            copied.setdefault(name, {})[labels] = value
        return copied
