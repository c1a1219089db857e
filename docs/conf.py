"""How Sphinx builds the documentation; `make docs` calls it."""

from __future__ import annotations

from importlib.util import find_spec

project = "tfmem"
author = "the tfmem authors"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
html_theme = "furo"
html_title = "tfmem"
html_show_sourcelink = False
html_show_copyright = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
# Tutorials are executed, in folders of their own; an error fails.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
# PyTorch takes gigabytes, and nothing else here needs it: its tutorial is executed where it is
# installed, as by `make docs TORCH=REQUIREMENT`.
nb_execution_excludepatterns = [] if find_spec("torch") else ["tutorials/from-pytorch.md"]
nb_merge_streams = True
nb_output_stderr = "remove"  # progress

autoclass_content = "both"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
