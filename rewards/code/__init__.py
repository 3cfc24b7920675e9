"""Grade programs by their tests, in a sandbox.

`reward` holds the reward function, `grading` runs a program against its tests, `sandbox` is where programs run, and
`service` offers the same over HTTP.
"""
