"""Tools for models that answer science questions: arithmetic, Python programs, properties of molecules.

They are offered through the entry points `innovator_rl.tools` and written as an outside author would write them: a type
hint and a docstring line per parameter, text as the result, an exception with a helpful message for what cannot be done.
"""
