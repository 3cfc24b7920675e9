"""Quality of text: a rubric of measurable signals."""
