"""Build a training corpus from raw sources by a recipe, with a manifest that accounts for every document."""
