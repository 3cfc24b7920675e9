"""Decide whether two written answers mean the same.

`rewards.equivalence.compare.is_equivalent` is the entry point. Text becomes small trees (`tokens`, `latex_parser`,
`formulas`, `calculus`), trees become numbers (`evaluation`), numbers with units become quantities (`units`,
`quantities`). Single values are compared in `values`; lists, intervals, equations and words by their parts (`containers`
and `members`, `intervals` and `relations`, `equations`, `solutions`, `text_answers`). What is no formula has a reader of
its own: `chemistry`, `operators` (with kets and matrices), `piecewise`, `numbers` in other spellings, times of the day
(`clock`), `remarks` behind an answer, `descriptions` behind a number, the `working` in front of a result, Unicode and
Chinese (`plain_text`). No model text is ever passed to `eval`, `sympify` or any parser of a programming language, and
every loop has a budget.
"""
