"""Choose masters for `coldframe bisect`, and present the result as text, as a JSON object, or as a page with pictures.

Start with `results.py`, which describes the result of a bisection. `candidates.py` collects the masters that match the
lights. `text.py`, `json_object.py` and `page.py` each present the result in one form and must not read files.
"""
