"""The HTTP application: the page, its files, and the routes of docs/dashboard-api.md.

    app = create_app([Path("runs")])

Routes are thin: they read parameters and call the module that answers. All run in threads; the index is made for that.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles

from innovator_rl import __version__
from innovator_rl.dashboard.health.alerts import health
from innovator_rl.dashboard.health.thresholds import Thresholds
from innovator_rl.dashboard.molecules.renderer import Molecules
from innovator_rl.dashboard.queries.curves import curves
from innovator_rl.dashboard.queries.filters import SORTS, check_names, one, read_order, read_selection, whole
from innovator_rl.dashboard.queries.response import group_answer, response_answer
from innovator_rl.dashboard.queries.rollouts import groups_page, narrowed, rollouts_page
from innovator_rl.dashboard.queries.run_detail import compare, run_answer
from innovator_rl.dashboard.queries.search import Searches
from innovator_rl.dashboard.queries.step_diff import change
from innovator_rl.dashboard.queries.tokens import MOST_TOKENS, tokens_answer
from innovator_rl.dashboard.runs.events import events
from innovator_rl.dashboard.runs.labels import Labels, response_key
from innovator_rl.dashboard.runs.registry import Runs
from innovator_rl.dashboard.runs.run_session import RunSession
from innovator_rl.dashboard.tools.export import FORMATS, export, export_columns, selected
from innovator_rl.dashboard.tools.rescore import Rescorer
from innovator_rl.dashboard.tools.sql_console import describe_sql, run_sql
from innovator_rl.dashboard.tools.static_site import static_site
from innovator_rl.dashboard.web.errors import RequestError
from innovator_rl.dashboard.web.json_response import Json
from innovator_rl.dashboard.web.security import Guard
from innovator_rl.runs.files import utc_now
from innovator_rl.scoring import registry

STATIC = Path(__file__).with_name("static")
MOST_CHARS = 1_000_000
SVG_CSP = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


class Body(BaseModel):
    """A request body: no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ResponseName(Body):
    kind: str = Field(default="train", pattern="^(train|validation)$")
    step: int = Field(ge=0, lt=2**31)
    uid: str = Field(max_length=1_000)
    sample: int = Field(ge=0, lt=2**31)


class LabelBody(ResponseName):
    label: str
    note: str = ""
    remove: bool = False


class RescoreBody(Body):
    rows: list[ResponseName] = Field(max_length=1_000)
    rewarder: str | None = None


class SqlBody(Body):
    sql: str


class Dashboard:
    """What the routes share: the runs and the processes that help."""

    def __init__(self, roots: list[Path], thresholds: Thresholds, demo: bool) -> None:
        self.runs = Runs(roots, demo)
        self.thresholds = thresholds
        self.searches = Searches()
        self.molecules = Molecules()
        self.rescorer = Rescorer()
        self._labels: dict[Path, Labels] = {}

    def labels(self, session: RunSession) -> Labels:
        """The labels of a run."""
        return self._labels.setdefault(session.run.path, Labels(session.run.path))

    def close(self) -> None:
        """End every thread and process."""
        self.runs.close()
        self.molecules.close()
        self.rescorer.close()


def create_app(
    roots: list[Path],
    host: str = "127.0.0.1",
    token: str | None = None,
    thresholds: Thresholds | None = None,
    demo: bool = False,
) -> FastAPI:
    """The application over the runs directly inside `roots`. `host`, `token`: see `security`."""
    board = Dashboard(roots, thresholds or Thresholds(), demo)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        board.close()

    app = FastAPI(
        title="Innovator RL dashboard",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.board = board
    _add_errors(app)
    _add_runs(app, board)
    _add_rollouts(app, board)
    _add_tools(app, board)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(Guard, host=host, token=token)
    return app


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestError)
    def refused(_: Request, error: RequestError) -> Json:
        return Json({"error": str(error)}, error.status)

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, error: RequestValidationError) -> Json:
        found = [{"where": ".".join(map(str, e["loc"])), "why": e["msg"]} for e in error.errors()]
        return Json({"error": f"{found[0]['where']}: {found[0]['why']}", "detail": found}, 400)

    @app.exception_handler(HTTPException)
    def missing(_: Request, error: HTTPException) -> Json:
        return Json({"error": str(error.detail)}, error.status_code)

    @app.exception_handler(FileNotFoundError)
    def moved(_: Request, error: FileNotFoundError) -> Json:
        return Json({"error": "the record was just rewritten: ask again"}, 503, {"retry-after": "1"})


def _add_runs(app: FastAPI, board: Dashboard) -> None:
    runs = board.runs

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", media_type="text/html; charset=utf-8")

    @app.get("/api/runs")
    def all_runs() -> Json:
        rows = runs.headlines(board.thresholds.silent_seconds)
        about = {"runs_dir": str(runs.roots[0]), "version": __version__, "demo": runs.demo, "now": utc_now()}
        return Json({**about, "rows": rows, "total": len(rows)})

    @app.get("/api/runs/{run}")
    def one_run(run: str) -> Json:
        session = runs.open(run)
        session.alarms = health(session, board.thresholds)["counts"]
        return Json(
            run_answer(session, board.labels(session), runs.headline(session.run, board.thresholds.silent_seconds))
        )

    @app.get("/api/compare")
    def comparison(request: Request) -> Json:
        check_names(request.query_params, ("run",))
        return Json(compare([runs.directory(name) for name in request.query_params.getlist("run")]))

    @app.get("/api/runs/{run}/curves")
    def run_curves(run: str, request: Request) -> Json:
        check_names(request.query_params, ("kind", "by"))
        return Json(
            curves(
                runs.open(run), one(request.query_params, "kind", "train"), one(request.query_params, "by", "domain")
            )
        )

    @app.get("/api/runs/{run}/health")
    def run_health(run: str) -> Json:
        session = runs.open(run)
        answer = health(session, board.thresholds)
        session.alarms = answer["counts"]
        return Json(answer)

    @app.get("/api/change")
    def changed(request: Request) -> Json:
        before = one(request.query_params, "run", "")
        after = one(request.query_params, "run2", "") or before
        return Json(change(runs.open(before), runs.open(after), request.query_params))

    @app.get("/api/events")
    async def announced(request: Request) -> StreamingResponse:
        check_names(request.query_params, ("run",))
        only = one(request.query_params, "run", "") or None
        return StreamingResponse(
            events(runs, only), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    @app.get("/api/health")
    def alive() -> Json:
        rss = psutil.Process(os.getpid()).memory_info().rss / 2**20
        return Json({"ok": True, "version": __version__, "rss_mb": round(rss, 1), "open_runs": len(runs.session())})


def _add_rollouts(app: FastAPI, board: Dashboard) -> None:
    runs = board.runs

    @app.get("/api/runs/{run}/rollouts")
    def rollouts(run: str, request: Request) -> Json:
        session = runs.open(run)
        return Json(rollouts_page(session, board.labels(session), board.searches, request.query_params))

    @app.get("/api/runs/{run}/groups")
    def groups(run: str, request: Request) -> Json:
        session = runs.open(run)
        return Json(groups_page(session, board.labels(session), board.searches, request.query_params))

    @app.get("/api/runs/{run}/group")
    def group(run: str, request: Request) -> Json:
        session, (kind, step, uid, _) = runs.open(run), _name(request, sample=False)
        chars = whole(request.query_params, "chars", 20_000, 0, MOST_CHARS)
        return Json(_again(session, lambda: group_answer(session, board.labels(session), kind, step, uid, chars)))

    @app.get("/api/runs/{run}/response")
    def response(run: str, request: Request) -> Json:
        session, name = runs.open(run), _name(request)
        offset = whole(request.query_params, "offset", 0, 0, 10**10)
        limit = whole(request.query_params, "limit", 200_000, 0, MOST_CHARS)
        return Json(_again(session, lambda: response_answer(session, board.labels(session), *name, offset, limit)))

    @app.get("/api/runs/{run}/tokens")
    def tokens(run: str, request: Request) -> Json:
        session, name = runs.open(run), _name(request)
        offset = whole(request.query_params, "offset", 0, 0, 10**9)
        limit = whole(request.query_params, "limit", 2_000, 1, MOST_TOKENS)
        return Json(_again(session, lambda: tokens_answer(session, *name, offset, limit)))

    @app.get("/api/runs/{run}/export")
    def exported(run: str, request: Request) -> StreamingResponse:
        session, parameters = runs.open(run), request.query_params
        chosen = read_selection(parameters, also=("sort", "format", "columns"))
        form, names = one(parameters, "format", "jsonl"), export_columns(one(parameters, "columns", "all"))
        if form not in FORMATS:
            raise RequestError(f"format={form[:40]}: use {', '.join(FORMATS)}")
        narrowed(session, board.labels(session), board.searches, chosen)
        places = selected(session, chosen, read_order(parameters, SORTS, "step"))
        return _download(export(session, places, form, names), FORMATS[form], f"{session.run.name}.{form}")

    @app.get("/api/runs/{run}/static")
    def as_files(run: str, request: Request) -> StreamingResponse:
        session = runs.open(run)
        chosen = read_selection(request.query_params)
        narrowed(session, board.labels(session), board.searches, chosen)
        alarms = health(session, board.thresholds)
        return _download(
            static_site(session, board.labels(session), chosen, alarms), "application/zip", f"{session.run.name}.zip"
        )


def _add_tools(app: FastAPI, board: Dashboard) -> None:
    runs = board.runs

    @app.get("/api/molecules")
    def molecules(request: Request) -> Json:
        predicted, gold = _molecule_texts(request)
        return Json({**board.molecules.figures(predicted, gold), "svg": f"/api/molecules.svg?{request.url.query}"})

    @app.get("/api/molecules.svg")
    def picture(request: Request) -> Response:
        (predicted, gold), parameters = (
            _molecule_texts(request, ("theme", "side", "width", "height")),
            request.query_params,
        )
        theme, side = one(parameters, "theme", "light"), one(parameters, "side", "both")
        if theme not in ("light", "dark") or side not in ("both", "predicted", "gold"):
            raise RequestError("theme is light or dark, side is both, predicted or gold")
        width, height = whole(parameters, "width", 640, 100, 2_000), whole(parameters, "height", 300, 80, 2_000)
        svg = board.molecules.draw(predicted, gold, theme, side, width, height)
        headers = {"content-security-policy": SVG_CSP, "cache-control": "private, max-age=3600"}
        return Response(svg, media_type="image/svg+xml", headers=headers)

    @app.get("/api/rewarders")
    def rewarders() -> Json:
        return Json({"rows": registry.names()})

    @app.post("/api/runs/{run}/rescore")
    def rescore(run: str, body: RescoreBody) -> Json:
        return Json(board.rescorer.rescore(runs.open(run), [row.model_dump() for row in body.rows], body.rewarder))

    @app.get("/api/runs/{run}/labels")
    def labels(run: str) -> Json:
        rows = board.labels(runs.open(run)).all()
        return Json({"rows": rows, "total": len(rows), "names": sorted({row["label"] for row in rows})})

    @app.post("/api/runs/{run}/labels")
    def label(run: str, body: LabelBody) -> Json:
        session = runs.open(run)
        held, key = board.labels(session), response_key(body.model_dump())
        response_exists(session, key)
        held.put(key, body.label, body.note, body.remove)
        session.changed("labels")
        rows = held.of(key)
        return Json({"rows": rows, "total": len(rows), "names": sorted({row["label"] for row in held.all()})})

    @app.get("/api/runs/{run}/sql")
    def sql_help(run: str) -> Json:
        session = runs.open(run)
        return Json(describe_sql(session, board.labels(session)))

    @app.post("/api/runs/{run}/sql")
    def sql(run: str, body: SqlBody) -> Json:
        session = runs.open(run)
        return Json(run_sql(session, board.labels(session), body.sql))


def response_exists(session: RunSession, key: tuple[str, int, str, int]) -> None:
    """Raise `RequestError` (404) unless the response is recorded."""
    sql = "SELECT 1 FROM responses WHERE kind = ? AND step = ? AND prompt_uid = ? AND sample = ?"
    if not session.index.ask(sql, key):
        raise RequestError(f"there is no response {key[3]} of {key[2][:80]!r} in step {key[1]} ({key[0]})", 404)


def _name(request: Request, sample: bool = True) -> tuple[str, int, str, int]:
    parameters = request.query_params
    check_names(parameters, ("kind", "step", "uid", "sample", "offset", "limit", "chars"))
    kind, uid = one(parameters, "kind", "train"), one(parameters, "uid", "")
    if kind not in ("train", "validation") or not uid or not one(parameters, "step", ""):
        raise RequestError("kind (train or validation), step and uid are needed")
    if sample and not one(parameters, "sample", ""):
        raise RequestError("sample is needed")
    return kind, whole(parameters, "step", 0, 0, 2**31 - 1), uid, whole(parameters, "sample", 0, 0, 2**31 - 1)


def _molecule_texts(request: Request, also: tuple[str, ...] = ()) -> tuple[str, str]:
    check_names(request.query_params, ("predicted", "gold", *also))
    predicted, gold = one(request.query_params, "predicted", ""), one(request.query_params, "gold", "")
    if not predicted and not gold:
        raise RequestError("predicted or gold is needed: a molecule as SMILES or SELFIES")
    return predicted, gold


def _again(session: RunSession, answer: Callable[[], Any]) -> Any:
    """`answer()`, once more after a fresh look when a file was merged away meanwhile."""
    try:
        return answer()
    except FileNotFoundError:
        session.index.catalogue.forget()
        session.index.refresh()
        return answer()


def _download(content: Any, media_type: str, name: str) -> StreamingResponse:
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "_" for char in name)
    return StreamingResponse(
        content, media_type=media_type, headers={"content-disposition": f'attachment; filename="{plain}"'}
    )
