"""What a build tries on every row: the gold answer, copies, evaluation sets, and the balance of True and False."""
