"""The run directory and the rollout record: what a run writes, and how anything else reads it.

A trainer writes, any number of readers look on, and neither waits for the other: files are complete when they
appear and are never changed afterwards. The layout is described in docs/run-directory.md. This room knows neither
the trainer nor the engine, so a page or a script can read a run on a machine that has none of them.
"""
