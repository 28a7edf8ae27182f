"""The results of `coldframe diagnose`: text for the terminal, a JSON object, and a page with pictures.

Start with `results.py`, which describes a diagnosed set of lights and merges several sets. `choosing.py` chooses the
masters of each light. `text.py`, `json_object.py` and `page.py` each present the results in one form and must not read
files; `pictures.py` and `marks.py` draw for the page.
"""
