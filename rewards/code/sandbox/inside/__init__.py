"""What runs on the far side: the supervisor, the solution of one solution, the harness of one run. Standard library only.

These files are run by path in a bare interpreter (`python -S`), never imported by it as a package; `values` alone is
used on both sides.
"""
