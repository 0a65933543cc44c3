"""Reading a declared document member by member, keeping every fault instead of stopping at the first."""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

from portico.model.errors import Fault, InputError
from portico.model.secret import Secret

ReadFile = Callable[[str], str]  #: the text of a file that a document names; raises OSError or UnicodeDecodeError


class Located(Protocol):
    """Something that knows where in the document it was declared."""

    @property
    def path(self) -> str:
        """For example ``gateways[0].targets[1]``."""
        ...


_L = TypeVar("_L", bound=Located)


@dataclass(slots=True)
class Reader:
    """Takes members out of a document and collects what is wrong with them."""

    read_file: ReadFile
    faults: list[Fault] = field(default_factory=list[Fault])

    def fault(self, path: str, message: str) -> None:
        """Note that something is wrong."""
        self.faults.append(Fault(path=path, message=message))

    def judge(self, path: str, check: Callable[[], object]) -> None:
        """Run a rule of the use cases; what it refuses becomes a fault."""
        try:
            check()
        except InputError as error:
            self.fault(path, error.public)

    def entries(self, document: Mapping[str, Any], name: str, path: str) -> list[tuple[dict[str, Any], str]]:
        """Return the objects of a list member, each with its path."""
        listed: object = document.get(name, [])
        where = f"{path}.{name}" if path else name
        if not isinstance(listed, list):
            self.fault(where, "must be a list")
            return []
        found: list[tuple[dict[str, Any], str]] = []
        for index, entry in enumerate(cast("list[object]", listed)):
            if isinstance(entry, dict):
                found.append((cast("dict[str, Any]", entry), f"{where}[{index}]"))
            else:
                self.fault(f"{where}[{index}]", "must be an object")
        return found

    def texts(
        self,
        entry: Mapping[str, Any],
        path: str,
        known: AbstractSet[str],
        *,
        required: AbstractSet[str],
        others: AbstractSet[str] = frozenset(),
    ) -> dict[str, str]:
        """Return the text members; unknown, missing, empty and wrongly typed ones are faults.

        Members in ``others`` are known too, and no texts.
        """
        for name in sorted(required - entry.keys()):
            self.fault(f"{path}.{name}", "is required")
        found: dict[str, str] = {}
        for name, value in entry.items():
            if name not in known | others:
                self.fault(f"{path}.{name}", f"is not known here; known are: {', '.join(sorted(known | others))}")
            elif isinstance(value, str) and value and name in known:
                found[name] = value
            elif name in known:
                self.fault(f"{path}.{name}", "must be text that is not empty (quote what YAML reads as a number)")
        return found

    def text_list(self, entry: Mapping[str, Any], name: str, path: str) -> tuple[str, ...]:
        """Return a list of texts; a missing one is empty."""
        listed: object = entry.get(name, [])
        if isinstance(listed, list) and all(isinstance(item, str) for item in cast("list[object]", listed)):
            return tuple(cast("list[str]", listed))
        self.fault(f"{path}.{name}", "must be a list of texts")
        return ()

    def flag(self, entry: Mapping[str, Any], name: str, path: str, *, default: bool) -> bool:
        """Return a member that is true or false; ``default`` when it is missing."""
        value: object = entry.get(name, default)
        if isinstance(value, bool):
            return value
        self.fault(f"{path}.{name}", "must be true or false")
        return default

    def secret(
        self, texts: Mapping[str, str], path: str, *, plain: str, file: str, hashed: str | None = None
    ) -> Secret | None:
        """Return the secret that is given in the clear or by a file; exactly one of the ways must be taken."""
        ways = [name for name in (plain, file, hashed) if name is not None]
        if sum(name in texts for name in ways) != 1:
            self.fault(path, f"needs exactly one of {', '.join(ways)}")
            return None
        if file in texts:
            text = self.file_text(texts[file], f"{path}.{file}")
            return None if text is None else Secret(text.rstrip("\r\n"))
        return Secret(texts[plain]) if plain in texts else None

    def file_text(self, name: str, path: str) -> str | None:
        """Return the text of a file that the document names, None when it cannot be read."""
        try:
            return self.read_file(name)
        except OSError as error:
            self.fault(path, f"cannot be read ({error.strerror})")
        except UnicodeDecodeError:
            self.fault(path, "is not UTF-8 text")
        return None

    def unique(self, found: Iterable[_L | None], member: str, name_of: Callable[[_L], str]) -> tuple[_L, ...]:
        """Leave out what could not be read, and refuse a second declaration of one name."""
        seen: set[str] = set()
        kept = tuple(entry for entry in found if entry is not None)
        for entry in kept:
            if name_of(entry) in seen:
                self.fault(f"{entry.path}.{member}", "is declared twice")
            seen.add(name_of(entry))
        return kept
