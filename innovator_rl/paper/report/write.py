"""Write the report as Markdown, HTML and PDF."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from fpdf import FPDF
from fpdf.fonts import FontFace
from markdown_it import MarkdownIt

from innovator_rl.errors import UserError
from innovator_rl.packaged_files import roots
from innovator_rl.paper.config import SCALING_PICTURE, PaperConfig
from innovator_rl.paper.report import sections
from innovator_rl.paper.report.claims import CHANGES_PICTURE, Finding, claims, findings
from innovator_rl.paper.report.curves import CURVES_PICTURE, Panel, curves, panels
from innovator_rl.paper.report.held_out import upcycling
from innovator_rl.paper.report.methods import methods
from innovator_rl.paper.report.picture import forest
from innovator_rl.paper.stage import Decision
from innovator_rl.runs.files import utc_now, write_atomic
from innovator_rl.runs.run_dir import RunDir

PICTURE = re.compile(r"!\[[^\]]*\]\((?P<file>[^)]+)\)")
LOCAL_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?:[^)]*#/runs/|logs/)[^)]*\)")
"""A link to the dashboard, or to the log of a stage."""
IN_LATIN_1 = str.maketrans({"†": "*", "–": "-", "—": "-", "≤": "<=", "≥": ">=", "→": "->", "…": "..."})
"""Characters that the PDF's font does not have, and what stands for them."""
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 78rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0; }
th, td { border-bottom: 1px solid #d8d8d8; padding: .3rem .7rem; text-align: left; vertical-align: top; }
th { background: #f4f4f4; }
code { font-size: .85em; } img { max-width: 100%; background: #fff; }
@media (prefers-color-scheme: dark) {
  body { background: #16181c; color: #e6e6e6; } th { background: #24272d; } th, td { border-color: #3a3e46; } a { color: #8ab4f8; }
}
"""


def markdown(
    config: PaperConfig, decisions: Sequence[Decision], found: Sequence[Finding], arms: Sequence[Panel]
) -> str:
    """Return the report of a path as Markdown.

    Args:
        config: The path.
        decisions: All stages, and whether each is complete.
        found: What each training changed.
        arms: The samples of each arm.
    """
    lines = [
        f"# {config.name}: from text to tables",
        "",
        f"Base model `{config.base_model}`. Written {utc_now()[:16].replace('T', ' ')} UTC by `innovator paper run`.",
        "",
        *sections.out_of_date(decisions),
        *claims(found),
        *upcycling(config),
        *sections.evaluations(config),
        *sections.limits(config),
        *sections.domains(config),
        *sections.probes(config),
        *sections.learning(config, arms),
        *sections.scaling(config),
        *methods(config),
        *sections.text(config),
        *sections.trained_tokens(config),
        *sections.stages(decisions, config.accelerators),
    ]
    return "\n".join(lines)


def write_report(config: PaperConfig, run: RunDir, decisions: Sequence[Decision], copy_to: Path | None = None) -> Path:
    """Write `report.md`, `report.html`, `report.pdf` and their pictures, and return the first.

    Args:
        config: The path.
        run: Its run directory, which gets the report.
        decisions: All stages, and whether each is complete.
        copy_to: Folder that gets the report instead, without what only this machine can open.

    Raises:
        UserError: The files cannot be written.
    """
    found, arms = findings(config), panels(config)
    text = markdown(config, decisions, found, arms)
    if copy_to:
        text = without_local_places(text, config)
    folder = copy_to or run.path
    title = f"{config.name}: from text to tables"
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>{_html_body(text)}</body></html>\n'
    )
    target = folder / "report.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        picture = config.scaling / SCALING_PICTURE if config.scaling else None
        if picture and picture.is_file() and picture.parent.resolve() != folder.resolve():
            shutil.copy(picture, folder / SCALING_PICTURE)
        for name, drawn in ((CHANGES_PICTURE, forest(found)), (CURVES_PICTURE, curves(arms))):
            if drawn:
                write_atomic(folder / name, drawn)
        write_atomic(folder / "report.html", page)
        write_atomic(folder / "report.pdf", pdf(text, folder))
        write_atomic(target, text)
    except OSError as error:
        raise UserError(
            f"the report cannot be written to {folder} ({error.strerror or error}): choose another folder, or free some space"
        ) from None
    return target


def without_local_places(text: str, config: PaperConfig) -> str:
    """Return a report for readers elsewhere, who have neither this machine's dashboard and logs nor its folders.

    Folders of runs, data, the base model and the project get short names.

    Args:
        text: The report in Markdown.
        config: The path.
    """
    text = LOCAL_LINK.sub(lambda found: found["text"], text)
    short = {config.runs_dir: "runs", Path(config.base_model): Path(config.base_model).name}
    short |= {config.data: "data"} if config.data else {}
    for folder, name in short.items():
        for written in {str(folder), str(folder.resolve())}:
            if written.startswith("/"):
                text = re.sub(rf"(?<![\w./-]){re.escape(written)}(?![\w.-])", name, text)
    for root in roots():
        if root != Path(root.anchor):
            text = re.sub(rf"(?<![\w./-]){re.escape(str(root))}/", "", text)
    return text


def _html_body(text: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(text))


def pdf(text: str, folder: Path) -> bytes:
    """Return a PDF of a report's headings, paragraphs, tables and pictures.

    The column of commands is left out: it does not fit a page, and `report.md` has it.

    Args:
        text: The report in Markdown.
        folder: Folder of its pictures.
    """
    document = FPDF(orientation="landscape", format="A4")
    document.set_auto_page_break(True, margin=12)
    document.add_page()
    rows: list[list[str]] = []
    for line in [*text.split("\n"), ""]:
        if line.startswith("|"):
            rows.append([_plain(cell.strip()) for cell in line.strip("|").replace("\\|", "/").split("|")])
            continue
        if rows:
            document.set_font("Helvetica", size=8)
            header, *body = [row for row in rows if set("".join(row)) - set("-:")]
            keep = [index for index, name in enumerate(header) if name != "command"]
            with document.table(headings_style=FontFace(emphasis="BOLD"), line_height=4.5) as drawn:
                for row in (header, *body):
                    drawn.row([row[index] for index in keep])
            document.ln(3)
            rows = []
        picture = PICTURE.fullmatch(line)
        if picture and picture["file"].endswith(".svg"):
            continue  # the PDF's library draws no text of an SVG; report.html shows it
        if picture:
            document.image(folder / picture["file"], w=180)
            continue
        level = len(line) - len(line.lstrip("#"))
        if line.strip():
            document.set_font("Helvetica", style="B" if level else "", size={0: 9, 1: 16}.get(level, 12))
            document.multi_cell(0, 7 if level else 5, _plain(line.lstrip("# ")), new_x="LMARGIN", new_y="NEXT")
    return bytes(document.output())


def _plain(text: str) -> str:
    """Return text without Markdown's marks, in the characters that the PDF's built-in font has."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("`", "").replace("**", "")
    return text.translate(IN_LATIN_1).encode("latin-1", "replace").decode("latin-1")
