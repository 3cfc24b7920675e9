"""Scientific documents: page layouts, formulas and their repair."""
