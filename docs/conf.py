"""The settings of the documentation site, which `make docs` builds. The site loads nothing from the network."""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

from coldframe.version import __version__ as release

DOCS = Path(__file__).parent
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[((?:[^\[\]`]|`[^`]*`)*)\]\(([^()\s#]+)(?:#[^()\s]*)?\)")

project = "coldframe"
author = "the coldframe developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["README.md"]

html_theme = "furo"
html_title = f"coldframe {release}"
html_static_path = ["site"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1d5b79", "color-brand-content": "#1d5b79"},
    "dark_css_variables": {"color-brand-primary": "#7cc4e8", "color-brand-content": "#7cc4e8"},
}
highlight_language = "none"
pygments_style = "friendly"
pygments_dark_style = "monokai"

myst_heading_anchors = 4  # as in the links between the guides

default_role = "code"
smartquotes_action = "D"  # not the quotes, which are part of values in the guides
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
python_maximum_signature_line_length = 100


def _without_outside_links(text: str, folder: Path) -> str:
    def replaced(link: re.Match[str]) -> str:
        target = (folder / link[2]).resolve()
        is_page = target.is_relative_to(DOCS) and not target.is_dir()
        return link[0] if "://" in link[2] or is_page else link[1]

    return LINK.sub(replaced, text)


def prepare_page(app: Sphinx, name: str, content: list[str]) -> None:
    """Replace links to folders, and to files outside this folder, by their text: the site does not contain them."""
    folder = Path(os.fspath(app.env.doc2path(name))).parent
    parts = FENCED.split(content[0])
    content[0] = "".join(part if part.startswith("```") else _without_outside_links(part, folder) for part in parts)


def prepare_included(_app: Sphinx, path: Path, _name: str, content: list[str]) -> None:
    """Do the same for a page that another page includes."""
    content[0] = _without_outside_links(content[0], (DOCS / path).parent)


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.connect("source-read", prepare_page)
    app.connect("include-read", prepare_included)
