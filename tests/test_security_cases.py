"""The tables of security cases are complete in both directions, per connector where a case concerns an issuer: what is
held has a test that names it, and no test names a case that the tables do not know, or hold for another connector."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIST = ROOT / "docs" / "security-cases.md"
CONNECTORS = ("local", "oidc")

#: The floor: the ids that the tables must have, held or with the reason why not.
KNOWN = {
    *(f"A{n:02}" for n in (1, 3, 5, 7, 8, 9, 10, 12, 13, 14, 15, 16, 18, 19, 20, 22)),
    *(f"B{n:02}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 14, 16, 17, 19, 20, 21, 22, 23, 24, 26)),
    *(f"C{n:02}" for n in (1, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 16, 17, 20, 21, 22, 23, 24, 25, 26, 28, 29, 30)),
    *(f"D{n:02}" for n in (1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 15, 16, 18, 20, 21, 22, 24)),
    *(f"E{n:02}" for n in (1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15)),
    *(f"F{n:02}" for n in (1, 2, 3, 4, 6, 7, 8, 10, 11, 13, 14)),
    *(f"G{n:02}" for n in (1, 2, 3, 4, 6, 7, 8, 11)),
    *(f"H{n:02}" for n in (1, 2, 5, 7, 8, 10, 11)),
    *(f"T{n}" for n in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20, 22, 24, 25, 26, 27, 28)),
}
#: Those that concern an issuer or a façade, and so are told per connector.
OF_ISSUERS = {case for case in KNOWN if case[0] in "ABCEFG"} | {
    f"T{n}" for n in (1, 2, 3, 4, 5, 6, 9, 10, 13, 15, 16, 17, 18, 20, 22, 26, 27, 28)
}

#: Files whose tests are about providers without saying so each time: there is nothing of local users in them.
_OF_PROVIDERS = re.compile(r"facade|provider|sealed|upstream")

_ID = re.compile(r"[A-HT]\d{1,2}\Z")
_STATE = re.compile(r"held\Z|(?:later|n/a): \S.*\Z")


@dataclass(frozen=True, kw_only=True)
class Named:
    """One test that names cases."""

    test: str
    cases: frozenset[str]
    connectors: frozenset[str]  #: that the test says it is about, or its file's name; empty: neither does


def _listed() -> dict[str, tuple[str, ...]]:
    """Case id → its states: one, or one per connector."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in LIST.read_text().splitlines()]
    found = [row for row in rows if len(row) >= 3 and _ID.match(row[0])]
    assert len({row[0] for row in found}) == len(found), "an id stands twice"
    return {row[0]: tuple(row[2:]) for row in found}


def _of_connectors() -> dict[str, dict[str, str]]:
    """Case id → connector → state, of the cases that are told per connector."""
    return {case: dict(zip(CONNECTORS, states, strict=True)) for case, states in _listed().items() if len(states) == 2}


def _literals(node: ast.AST, mark: str) -> set[str]:
    """Return the arguments of ``pytest.mark.<mark>(...)`` anywhere in ``node``."""
    found: set[str] = set()
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == mark:
            for argument in call.args:
                assert isinstance(argument, ast.Constant), f"line {call.lineno}: the arguments of {mark} are literals"
                found.add(str(argument.value))
    return found


def _named_in(path: Path) -> Iterator[Named]:
    """Read the tests of a file: their own marks, those of lists that they are parametrized by, those of the module."""
    tree = ast.parse(path.read_text())
    lists = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    whole = [lists["pytestmark"]] if "pytestmark" in lists else []
    place = str(path.relative_to(ROOT))
    for node, outer in _tests_of(tree):
        names = {name.id for mark in node.decorator_list for name in ast.walk(mark) if isinstance(name, ast.Name)}
        own = [*node.decorator_list, *outer]
        cases = {
            case
            for part in (*own, *whole, *(lists[name] for name in names & set(lists)))
            for case in _literals(part, "case")
        }
        connectors = {one for part in own for one in _literals(part, "connector")}
        connectors |= set() if connectors else {one for part in whole for one in _literals(part, "connector")}
        yield Named(
            test=f"{place}::{node.name}",
            cases=frozenset(case for case in cases if _ID.match(case)),
            connectors=frozenset(connectors or ({"oidc"} if _OF_PROVIDERS.search(place) else ())),
        )


def _tests_of(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, list[ast.expr]]]:
    """Yield each test with the decorators of its class."""
    for holder in (tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))):
        outer = holder.decorator_list if isinstance(holder, ast.ClassDef) else []
        for node in holder.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield node, outer


@pytest.fixture(scope="module")
def named() -> list[Named]:
    return [one for path in sorted((ROOT / "tests").rglob("test_*.py")) for one in _named_in(path) if one.cases]


def test_the_tables_hold_every_known_case_and_no_other():
    assert set(_listed()) == KNOWN
    assert set(_of_connectors()) == OF_ISSUERS


def test_every_state_is_held_or_says_why_not():
    assert [(case, state) for case, states in _listed().items() for state in states if not _STATE.match(state)] == []


def test_connectors_that_tests_name_exist(named: list[Named]):
    assert [one.test for one in named if not one.connectors <= set(CONNECTORS)] == []


@pytest.mark.parametrize("connector", CONNECTORS)
def test_what_is_held_for_a_connector_has_a_test_that_runs_with_it(named: list[Named], connector: str):
    """What says nothing is about local users, or about what does not depend on who says who somebody is."""
    counting = [one for one in named if connector in one.connectors or (connector == "local" and not one.connectors)]
    tried = {case for one in counting for case in one.cases}
    assert {case for case, states in _of_connectors().items() if states[connector] == "held"} - tried == set()


@pytest.mark.parametrize("connector", CONNECTORS)
def test_what_a_test_tries_with_a_connector_is_held_for_it(named: list[Named], connector: str):
    states = _of_connectors()
    wrong = [
        (one.test, case)
        for one in named
        for case in one.cases
        if case in states and connector in one.connectors and states[case][connector] != "held"
    ]
    assert wrong == []


def test_every_other_case_that_is_held_has_a_test_that_names_it(named: list[Named]):
    tried = {case for one in named for case in one.cases}
    assert {case for case, states in _listed().items() if states == ("held",)} - tried == set()


def test_no_test_names_a_case_that_is_not_listed_or_held_nowhere(named: list[Named]):
    listed = _listed()
    wrong = [(one.test, case) for one in named for case in one.cases if "held" not in listed.get(case, ())]
    assert wrong == []


def test_the_attack_suite_says_of_each_test_for_which_connectors_it_is(named: list[Named]):
    attacks = [one for one in named if one.test.startswith("tests/attacks/")]
    assert len(attacks) >= 60
    assert [one.test for one in attacks if not one.connectors] == []
