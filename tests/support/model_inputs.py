"""Inputs made from a service model: valid ones, and each constraint broken by itself.

``valid`` draws a value that a shape allows; ``broken`` lists, for such a value, every way to break exactly one
constraint in it, with the path at which a server must name the fault. Hypothesis chooses among both.
"""

import copy
import random
import re
import re._constants as sre
import re._parser as sre_parser
import string
from dataclasses import dataclass

from hypothesis import strategies as st

MAX_OPTIONAL_DEPTH = 5  # optional members stop below it: schemas contain schemas
MAX_PADDED = 20_000  # characters of a text that is made too long
PRINTABLE = string.ascii_letters + string.digits + "-_.:/ "
NOT_ONE = "NOT-A-MEMBER-OF-IT"


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A document with one constraint broken."""

    document: dict
    path: str
    constraint: str

    def __repr__(self):
        return f"{self.constraint} at {self.path}"


def wire_name(member, spec):
    return member if "location" in spec else spec.get("locationName", member)


# --- valid -----------------------------------------------------------------------------------------------------------


@st.composite
def valid(draw, shapes, name, *, overrides=None, optional=None):
    """Draw a value of the shape ``name``.

    ``overrides`` give strategies for shapes by name; ``optional`` says whether an optional member ``Shape.member`` may
    be drawn at all.
    """
    return _Drawing(draw, shapes, overrides or {}, optional or (lambda _where: True)).value(name, 0)


class _Drawing:
    def __init__(self, draw, shapes, overrides, optional):
        self.draw = draw
        self.shapes = shapes
        self.overrides = overrides
        self.optional = optional
        self.random = draw(st.randoms(use_true_random=False))

    def value(self, name, depth):  # noqa: C901, PLR0911 - one case per type
        if name in self.overrides:
            return self.draw(self.overrides[name])
        shape = self.shapes[name]
        match shape["type"]:
            case "structure" if shape.get("document"):
                return self.draw(st.dictionaries(st.sampled_from("abc"), st.integers() | st.booleans(), max_size=2))
            case "structure":
                return self.structure(name, shape, depth)
            case "list":
                return self.entries(shape, depth)
            case "map":
                size = self.size(shape)
                keys = {self.text(self.shapes[shape["key"]["shape"]]) for _ in range(size * 2)}
                kept = sorted(keys)[: max(size, shape.get("min", 0))]
                return {key: self.value(shape["value"]["shape"], depth + 1) for key in kept}
            case "string":
                return self.text(shape)
            case "integer" | "long":
                low = shape.get("min", 0)
                return self.draw(st.integers(low, shape.get("max", low + 1000)))
            case "float" | "double":
                return self.draw(st.floats(shape.get("min", 0), shape.get("max", 1000), allow_nan=False))
            case "boolean":
                return self.draw(st.booleans())
            case "timestamp":
                return self.draw(st.integers(0, 2**31))
            case "blob":
                return self.draw(st.binary(max_size=20))

    def structure(self, name, shape, depth):
        members = shape.get("members", {})
        if shape.get("union"):
            wanted = [member for member in members if self.optional(f"{name}.{member}")]
            chosen = wanted[0] if depth > MAX_OPTIONAL_DEPTH else self.draw(st.sampled_from(wanted))
            return {wire_name(chosen, members[chosen]): self.value(members[chosen]["shape"], depth + 1)}
        required = set(shape.get("required", ()))
        return {
            wire_name(member, spec): self.value(spec["shape"], depth + 1)
            for member, spec in members.items()
            if member in required
            or (depth <= MAX_OPTIONAL_DEPTH and self.optional(f"{name}.{member}") and self.draw(st.booleans()))
        }

    def entries(self, shape, depth):
        return [self.value(shape["member"]["shape"], depth + 1) for _ in range(self.size(shape))]

    def size(self, shape):
        low = shape.get("min", 0)
        return self.draw(st.integers(low, min(shape.get("max", low + 2), low + 2)))

    def text(self, shape):
        if "enum" in shape:
            return self.draw(st.sampled_from(list(shape["enum"])))
        low, high = shape.get("min", 0), shape.get("max", max(shape.get("min", 0), 4096))
        if "pattern" in shape:
            return matching(shape["pattern"], low, high, self.random)
        size = self.draw(st.integers(low, min(high, low + 12)))
        return "".join(self.random.choice(PRINTABLE) for _ in range(size))


def matching(pattern, low, high, rng):
    """Return a text of ``low`` to ``high`` characters that a pattern matches."""
    parsed = sre_parser.parse(_python(pattern))
    for generosity in (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024):
        for _ in range(8):
            text = _written(parsed, generosity, rng)
            if low <= len(text) <= high and re.fullmatch(_python(pattern), text, re.ASCII | re.DOTALL):
                return text
    raise AssertionError(f"found no text of {low} to {high} characters for {pattern}")


def _python(pattern):
    return pattern.replace(r"\p{C}", r"\x00-\x1f\x7f-\x9f")


def _written(tokens, generosity, rng):
    return "".join(_token(kind, value, generosity, rng) for kind, value in tokens)


def _token(kind, value, generosity, rng):  # noqa: PLR0911 - one case per kind
    match kind:
        case sre.LITERAL:
            return chr(value)
        case sre.ANY | sre.NOT_LITERAL:
            return rng.choice(string.ascii_letters)
        case sre.IN:
            return rng.choice(_members(value))
        case sre.MAX_REPEAT | sre.MIN_REPEAT:
            low, high, inner = value
            count = min(int(high), int(low) + rng.randint(generosity // 2, generosity))
            return "".join(_written(inner, generosity, rng) for _ in range(count))
        case sre.SUBPATTERN:
            return _written(value[-1], generosity, rng)
        case sre.BRANCH:
            return _written(rng.choice(value[1]), generosity, rng)
        case sre.AT | sre.ASSERT | sre.ASSERT_NOT:
            return ""
    raise AssertionError(f"no text for {kind}")


_CLASSES = {
    sre.CATEGORY_DIGIT: string.digits,
    sre.CATEGORY_WORD: string.ascii_letters + string.digits + "_",
    sre.CATEGORY_SPACE: " ",
    sre.CATEGORY_NOT_SPACE: string.ascii_letters,
}


def _members(entries):
    """Return the characters of a set: printable ASCII ones, so that they can stand in a path or a header."""
    negated = entries and entries[0][0] is sre.NEGATE
    found = set()
    for kind, value in entries:
        if kind is sre.LITERAL:
            found.add(chr(value))
        elif kind is sre.RANGE:
            found |= {chr(code) for code in range(value[0], min(value[1], 0x7E) + 1)}
        elif kind is sre.CATEGORY:
            found |= set(_CLASSES[value])
    if negated:
        found = set(string.ascii_letters + string.digits) - found
    return sorted(found)


# --- broken ----------------------------------------------------------------------------------------------------------


def broken(shapes, name, document):
    """Return every way to break one constraint of a valid ``document`` of shape ``name``."""
    return [
        Broken(document=changed, path=path, constraint=constraint)
        for changed, path, constraint in _ways(shapes, name, document, "")
    ]


def _ways(shapes, name, value, path):  # noqa: C901 - one case per type
    """Yield (the value with one thing wrong, the fault's path, the constraint's name)."""
    shape = shapes[name]
    kind = shape["type"]
    if shape.get("document") or kind in {"timestamp", "blob"}:
        return
    yield _wrong_type(kind), path, f"type of {name}"
    match kind:
        case "structure":
            yield from _structure_ways(shapes, name, shape, value, path)
        case "list":
            yield from _size_ways(name, shape, value, path)
            for index, entry in enumerate(value):
                for changed, where, why in _ways(shapes, shape["member"]["shape"], entry, f"{path}[{index}]"):
                    yield [*value[:index], changed, *value[index + 1 :]], where, why
        case "map":
            for key, entry in value.items():
                for changed, where, why in _ways(shapes, shape["value"]["shape"], entry, f"{path}[{key!r}]"):
                    yield value | {key: changed}, where, why
        case "string":
            yield from _text_ways(name, shape, value, path)
        case "integer" | "long" | "float" | "double":
            if "min" in shape:
                yield shape["min"] - 1, path, f"min of {name}"
            if "max" in shape:
                yield shape["max"] + 1, path, f"max of {name}"


def _structure_ways(shapes, name, shape, value, path):
    members = {wire_name(member, spec): spec for member, spec in shape.get("members", {}).items()}
    if not shape.get("union"):
        for member in shape.get("required", ()):
            wire = wire_name(member, shape["members"][member])
            rest = {key: entry for key, entry in value.items() if key != wire}
            yield rest, _joined(path, wire), f"required {name}.{member}"
    yield value | {"notAMember": 1}, _joined(path, "notAMember"), f"unknown member of {name}"
    if shape.get("union"):
        yield {}, path, f"union {name}"
    for key, entry in value.items():
        for changed, where, why in _ways(shapes, members[key]["shape"], entry, _joined(path, key)):
            yield value | {key: changed}, where, why


def _size_ways(name, shape, value, path):
    if shape.get("min", 0) > 0:
        yield [], path, f"min of {name}"
    if value and shape.get("max", 1000) < 1000:
        yield [copy.deepcopy(value[0]) for _ in range(shape["max"] + 1)], path, f"max of {name}"


def _text_ways(name, shape, value, path):
    if "enum" in shape:
        yield NOT_ONE, path, f"enum {name}"
        return
    if shape.get("min", 0) > 0:
        yield value[: shape["min"] - 1], path, f"min of {name}"
    if shape.get("max", MAX_PADDED) < MAX_PADDED:
        yield (value or "a") + "a" * (shape["max"] + 1 - len(value or "a")), path, f"max of {name}"
    if "pattern" in shape:
        wrong = _unmatched(shape, value)
        if wrong is not None:
            yield wrong, path, f"pattern of {name}"


def _unmatched(shape, value):
    """Return a text of an allowed length that the pattern does not match."""
    pattern = re.compile(_python(shape["pattern"]), re.ASCII | re.DOTALL)
    low, high = shape.get("min", 0), shape.get("max", 4096)
    for end in ("\N{SNOWMAN}", " ", "!", "\n"):
        for text in (value[:-1] + end, end + value[1:], value + end, end):
            if low <= len(text) <= high and pattern.fullmatch(text) is None:
                return text
    return None


def _wrong_type(kind):
    return {"a": []} if kind in {"string", "integer", "long", "float", "double", "boolean", "list"} else "text"


def _joined(path, member):
    return f"{path}.{member}" if path else member


def seeded(seed):
    """Return a source of choices for :func:`matching` outside of hypothesis."""
    return random.Random(seed)
