"""Whether two written answers mean the same: the part that physics, mathematics and choice share.

`rewards.equivalence.compare.same` is the entrance. Text becomes small trees (`tokens`, `reader`, `calculus`), trees
become numbers (`evaluation`), numbers with units become quantities (`units`, `quantities`), and lists, intervals,
equations and words are compared by their parts (`structure`, `regions`, `equations`, `words`). No model text is ever
handed to `eval`, `sympify` or any parser of a programming language, and every loop has a budget.
"""
