"""How Sphinx builds the documentation: `make docs`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent

project = "callviz"
release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "api/modules.rst"]
nitpicky = True
# Other libraries and the package's type variables have no pages here.
nitpick_ignore_regex = [(r"py:.*", r"(?!callviz_dagster\.).*"), (r"py:(class|obj)", r"callviz_dagster\..*\.[A-Z]")]
# An attribute called like a built-in type, `bytes`, makes that type in annotations ambiguous.
suppress_warnings = ["ref.python"]

# Headings are link targets, as they are on the pages of a hosting site.
myst_heading_anchors = 3

# Docstrings set names of code in single backticks.
default_role = "code"
autodoc_member_order = "bysource"
maximum_signature_line_length = 100
apidoc_modules = [
    {
        "path": str(ROOT / "callviz_dagster"),
        "destination": "api",
        "exclude_patterns": ["**/__main__.py"],
        "separate_modules": True,
        "module_first": True,
        "automodule_options": {"members", "show-inheritance"},
    }
]
apidoc_max_depth = 2

html_theme = "furo"
html_title = f"callviz {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_copyright = False


def setup(app: Sphinx) -> None:
    """Let a letter follow code in backticks, as in Markdown: reStructuredText wants an escape between them."""

    def escape(_app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
        lines[:] = [re.sub(r"(`[^`]+`)(?=\w)", r"\1\\ ", line) for line in lines]

    app.connect("autodoc-process-docstring", escape)
