"""The morning report, which shows the masters of a night, the missing masters with reasons, and the use of time.

Start with `making`, which reads a night's folder and writes `report.html` and `report.json`. `gathering` turns events
into the values of `contents`, and `verdict` summarises the night in one sentence. `page` renders the page with the
charts and images from `charts`, `svg` and `png`. Only `making` and `pixels` read files. No module accesses devices or a
running night.
"""
