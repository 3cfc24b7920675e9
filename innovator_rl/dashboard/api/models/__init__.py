"""Models of the JSON that the routes return.

`docs/dashboard-api.md` is generated from them.
"""
