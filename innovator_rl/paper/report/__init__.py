"""Write the report of a path: what ran, what it cost, what it measured, and how it differs from the paper.

`sections.py` reads results and returns Markdown, `write.py` turns it into `report.md`, `report.html` and `report.pdf`.
A part that did not run is named as such; a number that was not measured is never filled in.
"""
