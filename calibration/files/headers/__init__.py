"""The headers of FITS files, without their pixels, and the index that stores them between commands.

Start with `hdus`, which reads the headers of all HDUs of a file. `index` keeps headers in the user's cache folder;
`stamp` shows whether a file has been changed; `open_file` reads parts of a file. Nothing here depends on the meaning of
the cards.
"""
