"""Build rows for supervised fine-tuning: generated worked steps, and answers that models write, refine and verify.

`recipe` defines both kinds, `worked` and `refine` make the rows, `build` writes them with a manifest and a card, and
`entries` finds the files that an entry of `data.train` stands for.
"""
