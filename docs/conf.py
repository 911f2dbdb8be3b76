"""Sphinx configuration: ``sphinx-build -W docs docs/_build``.

The gallery is made from the scripts in ``examples``, beside this folder; every one of them is run.
Formulas become MathML when the pages are built, so that reading them needs no network.
"""

import re
from importlib import metadata
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.errors import ExtensionError

project = "kcm"
author = "The kcm developers"
release = metadata.version("kernel-conditional-moment")
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]
autosummary_generate = True
default_role = "py:obj"
templates_path = ["_templates"]
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"
numpydoc_show_class_members = False
autodoc_default_options = {
    "exclude-members": "set_fit_request,set_score_request"
}  # of scikit-learn
autodoc_typehints = "none"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
sphinx_gallery_conf = {
    "abort_on_example_error": True,
    "download_all_examples": False,
    "examples_dirs": "../examples",
    "filename_pattern": r"\.py$",
    "gallery_dirs": "gallery",
    "show_memory": False,
    "show_signature": False,
    "within_subsection_order": "FileNameSortKey",
}
html_theme = "pydata_sphinx_theme"
html_title = f"kcm {release}"
html_math_renderer = "mathml"
html_context = {"default_mode": "auto"}
html_favicon = "_static/kcm.svg"
html_logo = "_static/kcm.svg"
html_static_path = ["_static"]
html_css_files = ["kcm.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {page: [] for page in ("index", "choose", "changelog", "search")}
html_theme_options = {
    "logo": {"text": "kcm", "alt_text": "kcm, home"},
    "navbar_align": "left",
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
}


def without_references(app: Any, what: str, name: str, obj: Any, options: Any, lines: Any) -> None:
    """Turn references into scikit-learn's manual, in docstrings inherited from it, into words."""
    if "RKHSIV" in name:
        lines[:] = [re.sub(r":ref:`(.+?) *<.+?>`", r"\1", line) for line in lines]


def mathml(formula: str, display: str) -> str:
    """Translate a formula; a command that is not known stays in the result and is refused."""
    found = convert(formula, display=display)
    if "\\" in found:
        raise ExtensionError(f"latex2mathml does not know a command in {formula!r}")
    return found


def visit_math(translator: Any, node: Any) -> None:
    """Write a formula in a line."""
    translator.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_displayed_math(translator: Any, node: Any) -> None:
    """Write a formula of its own."""
    translator.body.append(f'<div class="formula">{mathml(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Register what is done to docstrings and to formulas."""
    app.connect("autodoc-process-docstring", without_references)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displayed_math, None))
