"""The masters and the results of `coldframe bisect`: text for the terminal, a JSON object, and a page with pictures.

Start with `results.py`, which describes the result of a bisection. `candidates.py` collects the masters that fit the
lights. `text.py`, `json_object.py` and `page.py` each present the result in one form and must not read files.
"""
