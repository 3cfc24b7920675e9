"""The project's rewarders, one module a domain, written as an outside package's would be: found by entry point, never
imported.

A new one starts as a copy of the nearest here; `innovator_rl.scoring` is all of the project that it needs.
"""
