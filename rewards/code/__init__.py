"""Grade programs by their tests, in a sandbox.

`reward` holds the reward function, `grading` runs a program against its tests, `sandbox` is where programs run, and
`service` and `actors` offer the same over HTTP and on many nodes.
"""
