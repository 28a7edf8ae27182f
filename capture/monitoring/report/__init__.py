"""The morning report: the masters that a night made, the missing ones with the reasons, and the use of time.

Start with `making`, which reads a night's folder and writes `report.html` and `report.json`. `gathering` turns events
into the values of `contents`, and `verdict` summarises the night in one sentence. `page` renders the page with the
drawings of `charts`, `svg` and `png`. Only `making` and `pixels` read files; no module accesses devices or
a running night.
"""
