"""Programs judged by their tests, in a sandbox: `tests` is the rewarder, `judging` the engine behind it, `sandbox` where
programs run, `service` and `actors` the same engine over HTTP and on many nodes.
"""
