"""The application: routes, errors and guards put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.staticfiles import StaticFiles

import kneeage
from kneeage.web import examinations, library, login, pages, runs
from kneeage.web.errors import handle_errors
from kneeage.web.office import Office, open_office
from kneeage.web.security import Guard
from kneeage.web.settings import WebSettings

STATIC = Path(__file__).parent / "static"


class Health(BaseModel):
    """Whether the server answers."""

    status: str = "ok"


def make_app(settings: WebSettings) -> FastAPI:
    """Make the application of a server.

    Args:
        settings: What the server is told.

    Raises:
        OutputError: The register or the folder cannot be opened.
        BundleError: No bundle can be used.
    """
    app = FastAPI(
        title="kneeage",
        version=kneeage.__version__,
        description="Age estimation from knee MRI: examinations, runs, corrections, documents. Drafts for an examiner.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.office = open_office(settings)
    for router in (login.router, examinations.router, runs.router, library.router, pages.router):
        app.include_router(router)
    app.add_api_route("/healthz", Health, methods=["GET"], include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), "static")
    app.add_api_route("/{path:path}", pages.unknown, methods=["GET"], include_in_schema=False)
    handle_errors(app)
    app.add_middleware(Guard, settings=settings)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Look for changes as long as the application runs."""
    office: Office = app.state.office
    looking = asyncio.create_task(office.hub.run())
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
