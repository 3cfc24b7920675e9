"""Everything that knows verl. Upgrading verl means reading this package."""
