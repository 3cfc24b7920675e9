"""Built-in reward functions, one module per domain.

They are written as those of another package would be: found by entry point, imported by nothing. A new one starts as a
copy of the nearest here; `innovator_rl.scoring` is all of the project that it needs.
"""
