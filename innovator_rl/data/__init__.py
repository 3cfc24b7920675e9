"""Build training data: recipes to problems, problems to the rows that verl trains on."""
