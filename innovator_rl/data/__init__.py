"""Build training data, from recipes to problems to the rows that verl reads."""
