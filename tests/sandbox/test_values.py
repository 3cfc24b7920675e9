"""Values cross the border unchanged, with their shared and cyclic parts; junk from the other side is refused."""

import ast
import collections
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.code.sandbox.executor import INSIDE
from rewards.code.sandbox.inside.decoder import decode
from rewards.code.sandbox.inside.encoder import encode
from rewards.code.sandbox.inside.values import Opaque, UndecodableValue

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=20)
    | st.complex_numbers(allow_nan=False)
)
HASHABLE = st.recursive(ATOMS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=6)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.sets(HASHABLE, max_size=3)
    ),
    max_leaves=12,
)
JSON = st.recursive(
    st.none() | st.integers(-3, 5) | st.sampled_from(["root", "table", "list", "tuple", "dict", "object", "int", "x"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["root", "table", "x"]), inner, max_size=2)
        | st.tuples(st.sampled_from(["list", "tuple", "dict", "set", "object", "alias", "int"]), inner).map(list)
    ),
    max_leaves=15,
)


def test_no_module_of_the_sandbox_stays_where_a_program_could_import_it() -> None:
    tree = ast.parse((INSIDE / "harness.py").read_text())
    assigned = (node for node in tree.body if isinstance(node, ast.Assign))
    ours = next(node.value for node in assigned if ast.unparse(node.targets[0]) == "_OURS")
    assert set(ast.literal_eval(ours)) == {path.stem for path in INSIDE.glob("*.py")} - {"__init__"}


def there_and_back(value: Any, classes: dict[str, Any] | None = None) -> Any:
    return decode(json.loads(json.dumps(encode(value))), classes or {})


@given(VALUES)
def test_values_come_back_as_they_were(value: Any) -> None:
    back = there_and_back(value)
    assert back == value
    assert type(back) is type(value)


@given(JSON, JSON)
def test_junk_is_refused_or_read_but_never_breaks_the_reader(root: Any, table: Any) -> None:
    for data in (root, {"root": root, "table": table}):
        try:
            decode(data, {"x": Node})
        except UndecodableValue:
            continue


class Node:
    def __init__(self, value: Any, next: Any = None) -> None:
        self.value = value
        self.next = next


def test_objects_shared_parts_and_cycles() -> None:
    head = None
    for number in range(20_000):
        head = Node(number, head)
    back = there_and_back(head, {"Node": Node})
    count = 0
    while back:
        count, back = count + 1, back.next
    assert count == 20_000
    ring = Node(1)
    ring.next = ring
    back = there_and_back([ring, ring], {"Node": Node})
    assert back[0] is back[1]
    assert back[0].next is back[0]
    assert isinstance(there_and_back(ring), Opaque)


def test_types_that_mean_to_deceive_arrive_as_plain_ones() -> None:
    class Same(int):
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 0

        def __index__(self) -> int:
            return 42

    back = there_and_back([Same(5), collections.Counter("aab"), collections.deque([1]), 10**30, float("inf")])
    assert back == [5, {"a": 2, "b": 1}, collections.deque([1]), 10**30, float("inf")]
    assert type(back[0]) is int
    assert isinstance(there_and_back(x for x in "ab"), Opaque)
    assert there_and_back(print) != there_and_back(print)


def test_depth_does_not_matter() -> None:
    deep: Any = ()
    for _ in range(10_000):
        deep = (deep,)
    for _ in range(10_000):
        deep = [deep]
    back = there_and_back(deep)
    for _ in range(10_000):
        (back,) = back
    assert type(back) is tuple


def test_a_tuple_that_holds_itself_is_refused() -> None:
    with pytest.raises(UndecodableValue):
        decode({"root": [0], "table": [["tuple", [0]]]}, {})


@pytest.mark.parametrize("kind", ["set", "frozenset", "dict"])
@pytest.mark.parametrize("doubling", [True, False], ids=["a tuple of itself twice", "a deep tuple"])
def test_no_element_can_keep_the_reader_hashing(kind: str, doubling: bool) -> None:
    inner = [["tuple", *[[place + 2]] * (1 + doubling)] for place in range(20_000 if not doubling else 64)]
    held = [[1], None] if kind == "dict" else [[1]]
    with pytest.raises(UndecodableValue, match="hashed"):
        decode({"root": [0], "table": [[kind, *held], *inner, ["tuple", 1]]}, {})
    shallow = decode({"root": [0], "table": [[kind, *held], *inner[:8], ["int", "5"], ["tuple", 1]]}, {})
    assert len(shallow) == 1
