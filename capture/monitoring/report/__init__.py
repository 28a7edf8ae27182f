"""The morning report: what a night made, what is missing and why, and where its time went.

Start with `making`, which reads a night's folder and writes `report.html` and `report.json`. `gathering` turns events
into the values of `contents`, and `verdict` summarises them in a sentence. `page` renders the page with the drawings
of `charts`, `svg` and `png`. Only `making` and `pixels` read files; nothing here knows a device or a running night.
"""
