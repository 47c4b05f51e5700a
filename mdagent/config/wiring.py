"""The settings of the wire, as the wire wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mdagent.config.addresses import is_loopback
from mdagent.wire import WireOptions

if TYPE_CHECKING:
    from mdagent.config.tree import Settings


def wire_options(told: Settings) -> WireOptions:
    """Where plain http may go, what is blanked, which folders are read and written."""
    bases = [urlsplit(url) for s in told.sources.values() for url in s.base_url or ()]
    local = (f"{b.hostname}:{b.port or (443 if b.scheme == 'https' else 80)}" for b in bases if is_loopback(b.hostname or ""))
    return WireOptions(
        proxy=told.wire.proxy,
        ca_file=told.wire.ca_file,
        loopback=frozenset(local),
        allow_private_hosts=told.wire.allow_private_hosts,
        replay=told.replay,
        record=told.record,
        secrets=frozenset(told.secrets()),
    )
