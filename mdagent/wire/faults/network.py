"""What each fault of the network does to one exchange: before it is sent, or to its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx

from mdagent.guard.outcome import FailureKind
from mdagent.wire.bounds import failed
from mdagent.wire.faults.bodies import bandwidth, bomb, cut, endless, header_flood, reset, slow_loris
from mdagent.wire.faults.retry_after import told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from mdagent.wire.faults.kinds import Fault
    from mdagent.wire.faults.plan import Plan

    Before = Callable[[Fault, httpx.Request, Plan], Awaitable[httpx.Response | None]]
    After = Callable[[Fault, httpx.Response, Plan], httpx.Response]

_PATIENCE: Final = {"connect": 2.0, "read": 8.0}  # where a request does not say its own


def _patience(request: httpx.Request, name: str) -> float:
    """How many seconds the client waits."""
    given = request.extensions.get("timeout", {}).get(name)
    return float(given) if given is not None else _PATIENCE[name]


async def _refused(_fault: Fault, request: httpx.Request, _plan: Plan) -> httpx.Response | None:
    msg = f"{request.url.host}: Connection refused"
    raise httpx.ConnectError(msg, request=request)


async def _black_hole(_fault: Fault, request: httpx.Request, plan: Plan) -> httpx.Response | None:
    await plan.clock.sleep(_patience(request, "connect"))
    msg = f"{request.url.host}: no connection in time"
    raise httpx.ConnectTimeout(msg, request=request)


async def _dns(_fault: Fault, request: httpx.Request, _plan: Plan) -> httpx.Response | None:
    raise failed(FailureKind.CONNECT_FAIL, f"the name {request.url.host} cannot be resolved", sent=False, unreachable=True)


async def _partition(_fault: Fault, request: httpx.Request, _plan: Plan) -> httpx.Response | None:
    raise failed(FailureKind.CONNECT_FAIL, f"{request.url.host}: No route to host", sent=False, unreachable=True)


_TLS: Final = {
    "expired": "the certificate is not accepted (certificate has expired)",
    "wrong_host": "the certificate is not accepted (Hostname mismatch)",
    "unknown_ca": "the certificate is not accepted (self-signed certificate in certificate chain)",
    "handshake": "no encrypted connection (handshake failed)",
}


async def _tls(fault: Fault, request: httpx.Request, _plan: Plan) -> httpx.Response | None:
    raise failed(FailureKind.TLS_FAIL, f"{request.url.host}: {_TLS[fault.settings['why']]}", sent=False)


async def _silence(_fault: Fault, request: httpx.Request, plan: Plan) -> httpx.Response | None:
    await plan.clock.sleep(_patience(request, "read"))
    msg = f"{request.url.host}: no answer in time"
    raise httpx.ReadTimeout(msg, request=request)


async def _redirect(fault: Fault, request: httpx.Request, _plan: Plan) -> httpx.Response | None:
    place = {"host": "https://elsewhere.example/", "private": "https://169.254.169.254/", "downgrade": f"http://{request.url.host}/"}
    return httpx.Response(302, headers={"location": place[fault.settings["to"]]}, content=b"", request=request)


async def _latency(fault: Fault, request: httpx.Request, plan: Plan) -> httpx.Response | None:
    jitter = float(fault.settings["jitter"])
    delay = max(0.0, float(fault.settings["delay"]) + (plan.uniform(-jitter, jitter) if jitter else 0.0))
    patience = _patience(request, "read")
    await plan.clock.sleep(min(delay, patience))
    if delay >= patience:
        msg = f"{request.url.host}: no answer in time"
        raise httpx.ReadTimeout(msg, request=request)
    return None


async def _status(fault: Fault, request: httpx.Request, plan: Plan) -> httpx.Response | None:
    code = int(fault.settings["code"])
    headers = {"content-type": "text/plain"} | told(fault, plan.clock.now())
    return httpx.Response(code, headers=headers, content=f"status {code} was injected\n".encode(), request=request)


BEFORE: Final[Mapping[str, Before]] = {
    "refused": _refused,
    "black_hole": _black_hole,
    "partition": _partition,
    "dns": _dns,
    "tls": _tls,
    "silence": _silence,
    "latency": _latency,
    "redirect": _redirect,
    "status": _status,
}
AFTER: Final[Mapping[str, After]] = {
    "bandwidth": bandwidth,
    "slow_loris": slow_loris,
    "reset": reset,
    "cut": cut,
    "header_flood": header_flood,
    "endless": endless,
    "bomb": bomb,
}
