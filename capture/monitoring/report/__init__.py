"""The morning report: which masters a night made, which are missing and why, and how the time was spent.

Start with `making`, which reads a night's folder and writes `report.html` and `report.json`. `gathering` turns events
into the values of `contents`, and `verdict` summarises the night in one sentence. `page` renders the page with the
drawings of `charts`, `svg` and `png`. Only `making` and `pixels` read files; no module accesses devices or
a running night.
"""
