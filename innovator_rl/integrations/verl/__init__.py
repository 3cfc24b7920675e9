"""Connect a run to verl; no other package but the shims imports it.

Upgrading verl means reading this package, beginning with `private_api`, which lists what it uses of verl beyond its
documented interface.
"""
