"""Documents and packing into training sequences."""
