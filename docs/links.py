"""What GitHub shows of a page, and Sphinx would not: links to files outside docs/, and pictures for light and dark."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from myst_parser.slugs import github_slugify
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

ROOT = Path(__file__).parents[1]
_LOG = logging.getLogger(__name__)


class OutsideLinks(SphinxTransform):
    """Links to files and folders of the repository outside docs/.

    They become links to the repository where its place is known (`repository_url`), else, in a site within the
    checkout, links to the file there, else their text. A path that the text does not say stands behind it. A path or
    an anchor that does not exist is a warning, which fails the build.
    """

    default_priority: ClassVar[int] = 5

    def apply(self, **kwargs: Any) -> None:
        for kind in (addnodes.pending_xref, addnodes.download_reference):
            for node in list(self.document.findall(kind)):
                if node.get("reftype") == "myst" and (found := self._outside(node)):
                    node.replace_self(self._link(node, *found))

    def _outside(self, node: nodes.Element) -> tuple[Path, str] | None:
        """The path and the anchor that a link names; None where it leads to a page, or names what is not there."""
        target, _, anchor = str(node["reftarget"]).partition("#")
        anchor = anchor or node.get("reftargetid") or ""
        path = Path(self.env.doc2path(self.env.docname)).parent.joinpath(target).resolve()
        if node.get("refdomain") == "doc":
            path = path.with_name(f"{path.name}.md")
        within = path.is_relative_to(ROOT) and not path.is_relative_to(self.env.srcdir)
        if not target or not within or not path.exists():
            return None
        if anchor and path.suffix == ".md" and anchor not in anchors(path):
            _LOG.warning("no heading of %s has the anchor #%s", path.relative_to(ROOT), anchor, location=node)
        return path.relative_to(ROOT), anchor

    def _link(self, node: nodes.Element, path: Path, anchor: str) -> nodes.Node:
        shown = node.children[0].deepcopy() if node.children else nodes.literal("", str(path))
        url = self.config.repository_url
        if url:
            kind = "tree" if (ROOT / path).is_dir() else "blob"
            uri = f"{url}/{kind}/{self.config.repository_ref}/{path}" + (f"#{anchor}" if anchor else "")
            return nodes.reference("", "", shown, refuri=uri, internal=False)
        text = shown.astext().strip("/")
        named = text == str(path) or text == path.name
        behind = [] if named else [nodes.Text(" ("), nodes.literal("", str(path)), nodes.Text(")")]
        if beside := self._beside(path):
            shown = nodes.reference("", "", shown, refuri=beside, internal=False)
        return nodes.inline("", "", shown, *behind)

    def _beside(self, path: Path) -> str | None:
        """The way from the page as it is built to a path of the checkout; None if the site is elsewhere, or none."""
        builder = self.app.builder
        if builder.format != "html" or not Path(builder.outdir).is_relative_to(ROOT):
            return None
        page = Path(builder.outdir, builder.get_target_uri(self.env.docname))
        return Path(os.path.relpath(ROOT / path, page.parent)).as_posix()


class Pictures(SphinxTransform):
    """`<picture>` with a source for dark, as GitHub shows it: two pictures, of which the theme shows one."""

    default_priority: ClassVar[int] = 5

    def apply(self, **kwargs: Any) -> None:
        for raw in list(self.document.findall(nodes.raw)):
            dark = re.search(r'<source[^>]*prefers-color-scheme: dark[^>]*srcset="([^"]+)"', raw.astext())
            light = re.search(r'<img[^>]*src="([^"]+)"', raw.astext())
            alt = re.search(r'<img[^>]*alt="([^"]+)"', raw.astext())
            if dark and light and alt:
                both = [
                    nodes.image(uri=found[1], alt=alt[1], classes=[f"only-{mode}"])
                    for mode, found in (("light", light), ("dark", dark))
                ]
                raw.replace_self(nodes.paragraph("", "", *both))


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them: the second of the same words ends in -1."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    made: dict[str, int] = {}
    found = []
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, re.MULTILINE):
        slug = github_slugify(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", ""))
        found.append(f"{slug}-{made[slug]}" if slug in made else slug)
        made[slug] = made.get(slug, 0) + 1
    return frozenset(found)
