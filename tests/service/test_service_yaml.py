import pytest

from portico.model.errors import ConfigError
from portico.service.yaml_text import parse_yaml


def parsed(text, **environ):
    document, faults = parse_yaml(text, environ=environ)
    assert faults == []
    return document


def test_revisions_are_texts_and_only_true_and_false_are_booleans():
    text = "versions: [2025-11-25, 2026-07-28]\na: yes\nb: on\nc: true\nd: false\ne: 5\nf: null\n"
    assert parsed(text) == {
        "versions": ["2025-11-25", "2026-07-28"],
        "a": "yes",
        "b": "on",
        "c": True,
        "d": False,
        "e": 5,
        "f": None,
    }


def test_an_empty_file_is_an_empty_document():
    assert parsed("# nothing\n") == {}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a: 1\na: 2\n", "line 2, column 1"),
        ("gateways:\n  - {name: a, name: b}\n", "line 2, column 15"),
        ("1: a\n", "line 1, column 1"),
        ("a: [1\n", "line 2, column 1"),
        ("- a\n", ""),
        ("a: !!python/object:os.system x\n", "line 1, column 4"),
        ("a: " + "[" * 500 + "]" * 500, ""),
    ],
)
def test_what_is_no_plain_document_is_refused_with_its_place(text, path):
    with pytest.raises(ConfigError) as raised:
        parse_yaml(text, environ={})
    [fault] = raised.value.faults
    assert fault.path.startswith(path)


def test_aliases_cannot_blow_a_document_up():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ConfigError, match="aliases"):
        parse_yaml("\n".join(lines), environ={})


def test_a_secret_comes_from_the_environment():
    assert parsed("a: {b: ['${env:TOKEN}']}", TOKEN="s3cret") == {"a": {"b": ["s3cret"]}}


@pytest.mark.parametrize("text", ["a: [x, '${env:MISSING}']", "a: [x, 'pre ${env:TOKEN}']", "a: [x, '${env:}']"])
def test_references_that_cannot_be_followed_are_faults_with_their_path(text):
    _, faults = parse_yaml(text, environ={"TOKEN": "x"})
    assert [fault.path for fault in faults] == ["a[1]"]
