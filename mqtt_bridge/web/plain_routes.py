"""Serves other addresses of the bridge beside the page: metrics, health, links."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from mqtt_bridge.http_server import Routes

THREADS = 8  # how many requests are answered at once, while others wait


def add_routes(
    application: web.Application, prefix: str, routes: Mapping[str, Routes]
) -> None:
    """Add *routes* by their paths. A path that ends in a slash has all paths below it.

    They may wait for the bridge, so threads answer them.
    """
    pool = ThreadPoolExecutor(THREADS, "upkeep-web-plain")

    async def close(_application: web.Application) -> None:
        pool.shutdown(wait=False, cancel_futures=True)

    application.on_cleanup.append(close)

    async def answer(request: web.Request, route: Routes) -> web.Response:
        act = route.get if request.method == "GET" else route.post
        path = request.path.removeprefix(prefix)
        loop = asyncio.get_running_loop()
        status, kind, body = await loop.run_in_executor(pool, act, path)
        return _response(status, kind, body)

    for path, route in routes.items():
        below = "{rest:.+}" if path.endswith("/") else ""

        async def handle(request: web.Request, route: Routes = route) -> web.Response:
            return await answer(request, route)

        for method in ("GET", "POST"):
            application.router.add_route(method, prefix + path + below, handle)


def _response(status: int, kind: str, body: bytes) -> web.Response:
    return web.Response(
        status=status,
        body=body,
        headers={"Content-Type": kind, "Cache-Control": "no-store"},
    )
