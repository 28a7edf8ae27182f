"""The results of `coldframe diagnose`: text for the terminal, and a page with pictures.

`text.py` and `page.py` each present the results in one form and must not read files; `pictures.py` and `marks.py` draw
for the page. The results themselves, and their JSON object, are in `coldframe.operations`.
"""
