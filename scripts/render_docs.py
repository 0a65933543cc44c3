"""Render README.md and docs/ to .artifacts/docs, and fail when a link leads nowhere."""

import html
import re
import shutil
import sys
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
OUT = ROOT / ".artifacts" / "docs"
STYLE = """
:root { color-scheme: light dark; font: 16px/1.55 system-ui, sans-serif }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
pre, code { font: 0.9em ui-monospace, monospace }
pre { overflow-x: auto; padding: .8rem; background: #8882; border-radius: 6px }
table { border-collapse: collapse; display: block; overflow-x: auto }
td, th { border: 1px solid #8886; padding: .3rem .6rem; text-align: left; vertical-align: top }
img { max-width: 100% }
"""


def pages() -> list[Path]:
    """Return every page."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(text: str) -> set[str]:
    """Return the anchors that a page's headings get, as code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def broken_links(page: Path, text: str) -> list[str]:
    """Return the links of a page that lead to no file or no heading."""
    outside_code = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    broken: list[str] = []
    for link in re.findall(r"\]\(([^)\s]+)\)", outside_code):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(f"{page.relative_to(ROOT)}: {link}")
    return broken


def render(page: Path, text: str) -> None:
    """Write a page as HTML."""
    place = (OUT / page.relative_to(ROOT)).with_suffix(".html")
    place.parent.mkdir(parents=True, exist_ok=True)
    body = MarkdownIt("commonmark").enable("table").render(text)
    body = re.sub(r'href="([^":#]+)\.md', r'href="\1.html', body)
    title = html.escape(text.splitlines()[0].lstrip("# "))
    place.write_text(
        f'<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style><body>{body}"
    )


def main() -> int:
    """Render everything; 1 when a link is broken."""
    shutil.rmtree(OUT, ignore_errors=True)
    broken: list[str] = []
    for page in pages():
        text = page.read_text()
        broken += broken_links(page, text)
        render(page, text)
    for picture in (ROOT / "docs").glob("*.svg"):
        shutil.copy(picture, OUT / "docs" / picture.name)
    for line in broken:
        print(f"broken link: {line}", file=sys.stderr)
    print(f"{len(pages())} pages in {OUT.relative_to(ROOT)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
