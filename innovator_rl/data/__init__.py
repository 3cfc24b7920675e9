"""Training data: recipes, readers and generated tasks become problems, problems become the rows that verl trains on."""
