"""The protocol's messages and sockets under the names that the reference gives them.

Thin: what is sent and received is done by the package's own clients and servers.
Programs that need no more than items use none of this.
"""

from . import discover, message, publish, request

__all__ = ["discover", "message", "publish", "request"]
