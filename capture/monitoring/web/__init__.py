"""Show the night in a browser, without Home Assistant, as `coldframe serve` does.

Start with `server`, which alone imports the web server library and routes requests. `access` and `token_file` decide
which requests it answers, and `commands` passes the commands of a browser to the night. `sections` writes the page from
the state of the night, `live` gives each browser the sections that have changed, and `night_files` reads the picture
and the report of the night. The state comes from `watching`, the words from `progress`, and the charts from `report`.
"""
