"""Decide whether two written answers mean the same.

`rewards.equivalence.compare.is_equivalent` is the entry point. Text becomes small trees (`tokens`, `latex_parser`,
`formulas`, `calculus`), trees become numbers (`evaluation`), numbers with units become quantities (`units`,
`quantities`), and lists, intervals, equations and words are compared by their parts (`containers`, `intervals`,
`equations`, `text_answers`). No model text is ever passed to `eval`, `sympify` or any parser of a programming language,
and every loop has a budget.
"""
