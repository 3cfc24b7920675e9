"""Which program a response means: fences, several blocks, the thinking part, entry points."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.code.program import fenced, program_of

CASES = [
    ("```python\nx = 1\n```", "x = 1\n"),
    ("```py\nx = 1\n```\n", "x = 1\n"),
    ("Here:\n```\nx = 1\n```", "x = 1\n"),
    ("~~~python\nx = 1\n~~~", "x = 1\n"),
    ("````python\ns = '''\n```\n'''\n````", "s = '''\n```\n'''\n"),
    ("1. First\n   ```python\n   if x:\n       y\n   ```", "if x:\n    y\n"),
    ("<think>```python\nx\n```</think>Here:\n```python\ny = 1\n```\nand more", "y = 1\n"),
    ("```python\nfirst = 1\n```\nbetter:\n```python\nsecond = 2\n```", "second = 2\n"),
    ("```python\nx = 1\n```\nRun it:\n```bash\npython x.py\n```\nOutput:\n```text\n1\n```", "x = 1\n"),
    ("```cpp\nint x;\n```", None),
    ("```python\nx = 1\n```\n```python\nunfinished = ", "x = 1\n"),
    ("```python\nunfinished = 1", "unfinished = 1\n"),
    ('```Python title="a.py"\nx = 1\n```', "x = 1\n"),
    ("def f():\n    return 1", "def f():\n    return 1"),
    ("I cannot.", None),
    ("Here it is:\n\nimport sys\nprint(1)\n\nDone. It's O(1).", "import sys\nprint(1)\n\n"),
    ("for each case we print it, e.g. print(2).\n\nx = [\n    1,\n]\n\nComplexity: O(1)", "x = [\n    1,\n]\n\n"),
    (
        'Sure!\ndef f(x):\n    """A\n\nB\n    """\n    return x\n1. It returns x.',
        'def f(x):\n    """A\n\nB\n    """\n    return x\n',
    ),
    ("x = 1\nprint(x)\n)", "x = 1\nprint(x)\n)"),
    ("x = 1\nprint 'a b c d'", "x = 1\nprint 'a b c d'"),
    ("", None),
    ("<think>```python\nx = 1\n```", None),
]


@pytest.mark.parametrize(("response", "program"), CASES)
def test_program(response: str, program: str | None) -> None:
    assert program_of(response) == program


def test_the_block_that_defines_the_entry_point() -> None:
    response = (
        "```python\nclass Solution:\n    def two(self): return 1\n```\nUse:\n```python\nprint(Solution().two())\n```"
    )
    assert program_of(response, "Solution().two") == "class Solution:\n    def two(self): return 1\n"
    assert program_of(response, "missing") == "print(Solution().two())\n"
    assert program_of("```python\nf = lambda x: x\n```\n```python\nf(1)\n```", "f") == "f = lambda x: x\n"


@given(st.text(alphabet="`~ \nab", max_size=60))
def test_any_text_is_read(text: str) -> None:
    for language, body, closed in fenced(text):
        assert isinstance(closed, bool)
        assert len(language) + len(body) <= len(text) + 1
    program_of(text)
