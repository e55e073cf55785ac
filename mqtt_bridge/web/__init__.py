"""The page for people, which shows the fleet in a browser. It needs the extra `web`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mqtt_bridge.http_server import Routes
from mqtt_bridge.settings.model import SettingsError, Web

if TYPE_CHECKING:
    from mqtt_bridge.web.server import Source, WebServer


def serve(source: Source, given: Web, plain: Mapping[str, Routes]) -> WebServer:
    """Serve the page of *source* as the settings say, until the server is closed.

    *plain* has other addresses of the bridge, by their paths.

    SettingsError: a package is missing. OSError: the address cannot be used.
    """
    try:
        from mqtt_bridge.web.server import WebServer  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"web.listen: the page needs {error.name}:"
            " pip install 'klipper-upkeep[web]'"
        ) from None
    server = WebServer(source, given, plain)
    try:
        server.start()
    except OSError as error:
        host, port = given.listen or ("", 0)
        raise OSError(f"web.listen: {host}:{port}: {error}") from None
    return server
