"""The morning report: the masters of a night, which masters are missing and why, and how the time was spent.

Start with `making`, which reads a night's folder and writes `report.html` and `report.json`. `gathering` turns events
into the values of `contents`, and `verdict` summarises the night in one sentence. `page` renders the page with the
charts and images from `charts`, `svg` and `png`. Apart from style sheets and templates, only `making`, `pixels` and
`earlier_masters` read files. No module accesses devices or a running night.
"""
