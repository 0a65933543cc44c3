"""What is different between two states of the resources, member by member. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from portico.control.changes import STARS, shown
from portico.control.resources import Kind, Resource
from portico.control.shapes import member_path

Action = Literal["created", "changed", "removed"]

SECRET: Final = "secret"  # noqa: S105 - how a secret is called whose member may have several names


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberDifference:
    """One member; None on the side where it is not there. Secrets are stars."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One resource that is created, changed or removed."""

    action: Action
    kind: Kind
    name: str  #: of a user, client or target behind that of its issuer or gateway: ``Tools/calc``
    members: tuple[MemberDifference, ...]


def differences(before: Sequence[Resource], after: Sequence[Resource]) -> list[Difference]:
    """Return what became of every resource that is not the same, in the order of the file's lists."""
    old = {(resource.kind, resource.label): resource for resource in before}
    new = {(resource.kind, resource.label): resource for resource in after}
    found = [
        _difference(_action(old.get(key), resource), old.get(key), resource)
        for key, resource in new.items()
        if old.get(key) is None or _content(old[key]) != _content(resource)
    ]
    return found + [_difference("removed", resource, None) for key, resource in old.items() if key not in new]


def _action(before: Resource | None, _after: Resource) -> Action:
    return "created" if before is None else "changed"


def _content(resource: Resource) -> tuple[Mapping[str, Any], str]:
    return resource.document, resource.secret


def _difference(action: Action, before: Resource | None, after: Resource | None) -> Difference:
    about = after or before
    assert about is not None  # one of them is there
    members = [*_members(_document(before), _document(after), "")]
    old_secret, new_secret = ("" if side is None else side.secret for side in (before, after))
    if old_secret != new_secret:
        stars = (STARS if secret else None for secret in (old_secret, new_secret))
        members.append(MemberDifference(path=SECRET, before=next(stars), after=next(stars)))
    return Difference(action=action, kind=about.kind, name=about.label, members=tuple(members))


def _document(side: Resource | None) -> Mapping[str, Any]:
    return {} if side is None else side.document


def _members(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[MemberDifference]:
    for name in [*old, *(name for name in new if name not in old)]:
        before, after = old.get(name), new.get(name)
        here = member_path(path, name)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _members(cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after), here)
        else:
            yield MemberDifference(path=here, before=_masked(name, before), after=_masked(name, after))


def _masked(name: str, value: Any) -> Any:
    """Return a value as it may be shown, judged by its member's name as the audit trail does."""
    if value is None:
        return None
    masked = shown({name: value})
    return None if masked is None else masked.get(name, masked)
