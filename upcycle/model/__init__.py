"""The mixture-of-experts architecture and its modules."""
