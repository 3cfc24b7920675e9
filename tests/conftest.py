"""Makes this folder's helpers, such as `real_data`, importable from every test below it."""
