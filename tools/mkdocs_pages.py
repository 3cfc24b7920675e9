"""Add the pages at the root of the repository to the documentation site.

README.md and its neighbors have links for readers of the repository. On the site they are next to the pages of
`docs/`, so the prefix of their links is removed. Hidden comments for the checks are removed as well.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT_PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "RELEASE.md", "CHANGELOG.md")
ROOT_FILES = ("LICENSE", "NOTICE")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the root pages to the files of the site."""
    root = Path(config.config_file_path).parent
    for name in (*ROOT_PAGES, *ROOT_FILES):
        text = (root / name).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=text.replace("](docs/", "](").replace('src="docs/', 'src="')))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Remove the comments that only checks read."""
    return re.sub(r"[ \t]*<!-- (prose|needs): .*?-->", "", markdown)
