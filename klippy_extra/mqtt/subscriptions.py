"""The topic filters of a connection, in their order."""

from __future__ import annotations

from typing import Mapping, NamedTuple, Sequence


class Subscriptions(NamedTuple):
    """The filters of the subscriptions. *first* comes before *then*.

    *instead* has topics for a wildcard that a broker does not accept.
    """

    first: Sequence[str]
    then: Sequence[str]
    instead: Mapping[str, Sequence[str]] = {}
