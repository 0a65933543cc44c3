"""The list of security cases is complete in both directions: each held case has a test that names it, and no test
names a case that the list does not know."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIST = ROOT / "docs" / "security-cases.md"

#: The floor: the ids that the list must hold, held or with the reason why not yet.
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

_ROW = re.compile(r"^\| ([A-HT]\d{1,2}) \| (.+?) \| (held|later: .+?) \|$", re.MULTILINE)


def _listed() -> dict[str, str]:
    return {found[1]: found[3] for found in _ROW.finditer(LIST.read_text())}


def _named_by_tests() -> dict[str, set[str]]:
    """Case id → the test files that name it in ``@pytest.mark.case(...)``."""
    named: dict[str, set[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "case":
                for argument in node.args:
                    assert isinstance(argument, ast.Constant), f"{path}: case ids are literals"
                    named.setdefault(str(argument.value), set()).add(path.name)
    return named


def test_the_list_holds_every_known_case():
    assert KNOWN - set(_listed()) == set()
    assert set(_listed()) - KNOWN == set()


def test_every_held_case_has_a_test_that_names_it():
    named = _named_by_tests()
    assert {case for case, state in _listed().items() if state == "held" and case not in named} == set()


def test_no_test_names_a_case_that_is_not_listed_or_not_held():
    listed = _listed()
    assert {case for case in _named_by_tests() if re.fullmatch(r"[A-HT]\d{1,2}", case)} - set(listed) == set()
    assert {case for case in _named_by_tests() if listed.get(case, "held") != "held"} == set()
