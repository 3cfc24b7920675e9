"""Tools that a model may call while it answers: finding them, describing them, calling them within bounds.

A tool is a plain function with type hints and a Google docstring, which together are its description for the model; or a
class with such a `__call__`, constructed once per process. `registry` finds tools by name, `call` runs them in the
scoring pool's processes, which can be killed. The model's side (turns, masks, record) is in
`innovator_rl/integrations/verl/tool_loop.py`.
"""
