"""Programs judged by their tests. UNSAFE: there is no sandbox here yet, so it refuses unless told otherwise."""
