"""Write and read the rollout record of a run.

A trainer writes and any number of processes read, and neither waits for the other: files are complete when they appear
and are never changed afterwards. The layout is described in docs/run-directory.md. This package depends neither on the
trainer nor on the engine, so that the dashboard or a script can read a run on a machine that has none of them.
"""
