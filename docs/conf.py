"""How Sphinx builds the documentation; `make docs` calls it."""

from __future__ import annotations

project = "tfmem"
author = "the tfmem authors"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["build", "**/.ipynb_checkpoints"]
html_theme = "furo"
html_title = "tfmem"
html_show_sourcelink = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"

autoclass_content = "both"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
