"""Serve a page that shows the night in a browser, without Home Assistant (`coldframe serve`).

Start with `server`: it routes requests, and it alone imports the web server library. `access` and `token_file` decide
which requests are answered, and `commands` passes the commands of a browser to the night. `sections` writes the page
from the state of the night, `live` sends each browser the sections that have changed, and `night_files` reads the
picture and the report of the night. The state comes from `watching`, the words from `progress`, and the charts from
`report`.
"""
