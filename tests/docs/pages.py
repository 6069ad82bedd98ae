"""The pages of the documentation, and their code blocks."""

import re
from pathlib import Path

from engines import ROOT

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("[A-Z]*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PAGES = list(dict.fromkeys(PAGES))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language, in order."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def commands(page: Path) -> list[str]:
    """The commands of a page, in order: one line each, without comments."""
    text = "\n".join(blocks(page, "sh"))
    text = re.sub(r"\s+#\s.*", "", text)
    text = re.sub(r"\\\n\s*|(?<=\|)\n\s*", " ", text)
    return [line for line in text.splitlines() if line]


def pages_with(language: str) -> list[Path]:
    """The pages that have code in one language."""
    return [page for page in PAGES if blocks(page, language)]


def name(page: Path) -> str:
    """The page's path in the repository."""
    return str(page.relative_to(ROOT))
