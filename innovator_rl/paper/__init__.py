"""Run the whole path of the paper, from raw textbooks to the tables, as one resumable command.

`config.py` describes a run: which corpus, which four stages, which arms of reinforcement learning, which suites.
`plan.py` turns it into stages, each one `innovator` command with its inputs and its result. `runner.py` executes the
stages in order, skips what is complete, repeats what depends on something that changed, and keeps a log per stage.
`report/` reads the results and writes `report.md`, `report.html` and `report.pdf` into the run directory.

    innovator paper run configs/paper/quick.yaml              # a random model, in minutes
    innovator paper run configs/paper/small.yaml --dry-run    # what would run, and why

This package starts commands and reads their results. It imports neither verl, Ray nor torch.
"""
