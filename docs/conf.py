"""How Sphinx makes the site of docs/: `make site` builds it, docs/contributing/documentation.md describes it."""

from __future__ import annotations

import os
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING

from docs.docstrings import as_restructured_text
from docs.links import OutsideLinks, Pictures

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "movie-stream"
author = "movie-stream contributors"
copyright = author  # noqa: A001 - the name that Sphinx knows
release = version_of("movie-stream")
version = release
language = "en"
# Two dashes are those of an option, and quotes those of a shell.
smartquotes = False

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["**/__pycache__"]
source_suffix = {".md": "markdown"}
root_doc = "index"

# ---- Markdown ------------------------------------------------------------------------------------------------------

# Anchors of headings as GitHub makes them.
myst_heading_anchors = 6
myst_heading_slug_func = "github"
# What index.md files need for their pictures; other pages stay plain.
myst_enable_extensions = ["colon_fence"]
nitpicky = True

# ---- docstrings ----------------------------------------------------------------------------------------------------

# What stands between backticks is code, as in Markdown.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
toc_object_entries_show_parents = "hide"
# Names of types stand there without a link: the pages of Python and of libraries are elsewhere.
nitpick_ignore_regex = [("py:.*", ".*")]

# ---- links to the repository ---------------------------------------------------------------------------------------

# OWNER/REPOSITORY, as CI sets it; without it, what lies outside docs/ is linked in a site within the checkout alone.
repository = os.environ.get("GITHUB_REPOSITORY", "")
# The branch or tag that is linked to.
repository_ref = os.environ.get("GITHUB_REF_NAME") or "main"
repository_url = f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}" if repository else ""

# ---- HTML ----------------------------------------------------------------------------------------------------------

html_theme = "furo"
html_title = "movie-stream"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
# Excerpts of found pages would be fetched, which a page opened from a file may not do.
html_show_search_summary = False
html_search_scorer = str(Path(__file__).with_name("search.js"))
html_theme_options = (
    {"source_repository": f"{repository_url}/", "source_branch": repository_ref, "source_directory": "docs/"}
    if repository
    else {}
)
pygments_style = "friendly"
pygments_dark_style = "github-dark"
# A lexer that stumbles colours the rest anyway: over names of recorded rules in PromQL, or a … in JSON.
suppress_warnings = ["misc.highlighting_failure"]
# Prompts and output are not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# ---- make links ----------------------------------------------------------------------------------------------------

linkcheck_timeout = 20
linkcheck_retries = 2
linkcheck_workers = 4
linkcheck_anchors = False
# Addresses of a reader's own host.
linkcheck_ignore = [r"https?://(localhost|127\.0\.0\.1|HOST)(:|/|$)"]


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", as_restructured_text)
    app.connect("html-page-context", in_french)
    app.add_config_value("repository_url", "", "env")
    app.add_config_value("repository_ref", "main", "env")
    app.add_transform(OutsideLinks)
    app.add_transform(Pictures)


def in_french(app: Sphinx, pagename: str, templatename: str, context: dict[str, object], doctree: object) -> None:
    """Names the language of the pages in fr/, for browsers and screen readers."""
    if pagename.startswith("fr/"):
        context["language"] = "fr"
