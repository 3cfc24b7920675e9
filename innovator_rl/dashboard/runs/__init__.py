"""The runs that the dashboard serves: their registry, sessions, events and labels."""
