"""Sphinx configuration: ``sphinx-build -W docs docs/_build``.

The gallery is made from the scripts in ``examples``, beside this folder; every one of them is run.
"""

import re
from typing import Any

project = "kcm"
author = "The kcm developers"
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
]
autosummary_generate = True
numpydoc_show_class_members = False
autodoc_typehints = "none"
myst_heading_anchors = 3
exclude_patterns = ["_build"]
sphinx_gallery_conf = {
    "abort_on_example_error": True,
    "download_all_examples": False,
    "examples_dirs": "../examples",
    "filename_pattern": r"\.py$",
    "gallery_dirs": "gallery",
    "show_memory": False,
    "within_subsection_order": "FileNameSortKey",
}
html_theme = "pydata_sphinx_theme"
html_title = "kcm"


def without_references(app: Any, what: str, name: str, obj: Any, options: Any, lines: Any) -> None:
    """Turn references into scikit-learn's manual, in docstrings inherited from it, into words."""
    if "RKHSIV" in name:
        lines[:] = [re.sub(r":ref:`(.+?) *<.+?>`", r"\1", line) for line in lines]


def setup(app: Any) -> None:
    """Register what is done to docstrings."""
    app.connect("autodoc-process-docstring", without_references)
