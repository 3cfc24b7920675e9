"""Hold what runs inside: the supervisor, a solution's processes, the harness.

These files use the standard library alone. They are run by path in a bare interpreter (`python -S`), never imported by
it as a package; `values` alone is used on both sides.
"""
