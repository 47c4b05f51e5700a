"""Exchanges written down, keys blanked, in the format that replay reads."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus, unquote

import httpx

from mdagent.errors import ConfigError, StoreFull
from mdagent.wire.bounds import Limits, WireFailed, plain, unpacked
from mdagent.wire.replay import INDEX, KEY, looks_like_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

_KEPT_HEADERS: Final = frozenset({"age", "cache-control", "content-type", "date", "retry-after", "server", "y-rid"})
_KEPT_PREFIXES: Final = ("x-ratelimit-", "ratelimit-", "x-rate-limit-")
_KINDS: Final = (("search", "search"), ("quote", "quote"))
_SUFFIXES: Final = (("json", ".json"), ("csv", ".csv"), ("html", ".html"))
_URL_PARAMETER: Final = re.compile(rb"([?&;]|\\u0026|&amp;)([A-Za-z0-9_.\-]{1,40})=([^&\"'\s\\<>;#]+)")
_JSON_FIELD: Final = re.compile(rb'"([A-Za-z0-9_.\-]{1,40})"(\s*:\s*)"((?:[^"\\]|\\.)*)"')
_KEY_LENGTH: Final = 6
_BLANK: Final = KEY.encode()
_PLAIN_WORDS: Final = frozenset({b"key", b"pass", b"auth"})  # common names of harmless fields in JSON, not in a URL


class RecordingTransport(httpx.AsyncBaseTransport):
    """Passes every exchange through, and writes those that came to their end into `folder`.

    `secrets` are the values that may not be written in any form: plain, percent-encoded or base64. Files are 0600. What cannot
    be unpacked is not recorded. Raises ConfigError or StoreFull when the folder cannot be written.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, folder: Path, secrets: Iterable[str]) -> None:
        self._inner = inner
        self._folder = folder
        self._forms = _forms(secrets)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The inner transport's answer; it is written once its last byte was read."""
        reply = await self._inner.handle_async_request(request)
        if not isinstance(reply.stream, httpx.AsyncByteStream):
            msg = f"{type(self._inner).__name__} answers with a stream that cannot be read asynchronously"
            raise TypeError(msg)
        return httpx.Response(reply.status_code, headers=reply.headers, stream=_Tee(reply, self, request))

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()

    def keep(self, request: httpx.Request, reply: httpx.Response, chunks: list[bytes]) -> None:
        """Write one finished exchange; `chunks` are the raw bytes of its body."""
        named = (name.strip().lower() for name in reply.headers.get_list("content-encoding", split_commas=True))
        coding = ",".join(name for name in named if name not in {"", "identity"})
        try:
            content = blanked(unpacked(chunks, coding, Limits()), (*self._forms, *_forms(_credentials(request))))
        except (WireFailed, KeyError):
            return
        line = self._described(request, reply)
        asked = json.dumps(line["request"], sort_keys=True).encode()
        digest = hashlib.sha256(asked + b"\n" + content).hexdigest()
        name = self._name(str(line["kind"]), str(line["request"]["path"]), digest, reply)
        line |= {"file": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _write_new(self._folder / name, content) or not _is_listed(self._folder / INDEX, name):
                _append(self._folder / INDEX, json.dumps(line, ensure_ascii=False).encode() + b"\n")
        except OSError as error:
            msg = f"record folder {self._folder}: cannot be written ({error.strerror})"
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise StoreFull(msg, "free some space, or record elsewhere") from error
            raise ConfigError(msg, "name a folder that you may write to") from error

    def _described(self, request: httpx.Request, reply: httpx.Response) -> dict[str, Any]:
        url = request.url
        query: dict[str, str | list[str]] = {}
        for name in url.params:
            values = [KEY if looks_like_key(name) else self._clean(value) for value in url.params.get_list(name)]
            query[self._clean(name)] = values[0] if len(values) == 1 else values
        path = quote(self._clean(url.path), safe="/:@!$&'()*+,;=~<>")
        return {
            "kind": _kind(path, reply.status_code),
            "provenance": "recorded",
            "request": {"host": url.host, "path": path, "query": query},
            "status": reply.status_code,
            "headers": {name: self._clean(value) for name, value in reply.headers.items() if _is_harmless(name)},
        }

    def _clean(self, text: str) -> str:
        return blanked(text.encode(), self._forms, fields=False).decode("utf-8", "replace")

    @staticmethod
    def _name(kind: str, path: str, digest: str, reply: httpx.Response) -> str:
        slug = re.sub(r"[^A-Za-z0-9]+", "_", "/".join(unquote(path).split("/")[-2:])).strip("_")[:60]
        media = reply.headers.get("content-type", "").lower()
        return f"{kind}-{slug}-{digest[:12]}" + next((suffix for word, suffix in _SUFFIXES if word in media), ".txt")


class _Tee(httpx.AsyncByteStream):
    """A body on its way to the reader, remembered; given up once it is larger than any answer may be."""

    def __init__(self, reply: httpx.Response, recorder: RecordingTransport, request: httpx.Request) -> None:
        self._reply = reply
        self._recorder = recorder
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        kept: list[bytes] = []
        size = 0
        stream = self._reply.stream
        if isinstance(stream, httpx.AsyncByteStream):
            async for chunk in stream:
                size += len(chunk)
                if size <= Limits().max_bytes:
                    kept.append(chunk)
                yield chunk
        if size <= Limits().max_bytes:
            self._recorder.keep(self._request, self._reply, kept)

    async def aclose(self) -> None:
        await self._reply.aclose()


def blanked(content: bytes, forms: Iterable[bytes], *, fields: bool = True) -> bytes:
    """Content without the given byte forms, and with `fields` without URL parameters and JSON fields named like keys."""
    for form in forms:
        content = content.replace(form, _BLANK)
    if not fields:
        return content
    content = _URL_PARAMETER.sub(lambda m: m[1] + m[2] + b"=" + (_BLANK if looks_like_key(m[2].decode()) else m[3]), content)
    return _JSON_FIELD.sub(_blank_field, content)


def _blank_field(found: re.Match[bytes]) -> bytes:
    name = found[1]
    if name.lower() in _PLAIN_WORDS or not looks_like_key(name.decode()):
        return found[0]
    return b'"' + name + b'"' + found[2] + b'"' + _BLANK + b'"'


def _credentials(request: httpx.Request) -> list[str]:
    """What this very request carried as keys: a provider may repeat it in its answer. Very short words are no keys."""
    given = [value for name, value in request.url.params.multi_items() if looks_like_key(name)]
    given += [value.rpartition(" ")[2] for name, value in request.headers.items() if looks_like_key(name)]
    return [value for value in given if len(value) >= _KEY_LENGTH]


def _forms(secrets: Iterable[str]) -> tuple[bytes, ...]:
    """Every spelling of the secrets that an answer may echo, longest first."""
    found: set[bytes] = set()
    for secret in secrets:
        raw = secret.encode()
        texts = (quote(secret, safe=""), quote(secret, safe="").lower(), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1])
        found |= {raw, *(text.encode() for text in texts)}
        found |= {base64.b64encode(raw).rstrip(b"="), base64.urlsafe_b64encode(raw).rstrip(b"=")}
    return tuple(sorted(found - {b""}, key=lambda form: (-len(form), form)))


def _kind(path: str, status: int) -> str:
    if status >= 400:
        return "error"
    return next((kind for word, kind in _KINDS if word in path.lower()), "bars")


def _is_harmless(name: str) -> bool:
    return name.lower() in _KEPT_HEADERS or name.lower().startswith(_KEPT_PREFIXES)


def _write_new(path: Path, content: bytes) -> bool:
    """False when that very exchange is there already."""
    part = path.with_name(f".{path.name}.{plain(str(os.getpid()), 12)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
        os.link(part, path)  # fails where the name is taken, and never shows half a file
    except FileExistsError:
        return False
    finally:
        part.unlink(missing_ok=True)
    return True


def _is_listed(index: Path, name: str) -> bool:
    """A process killed between the two writes left the body without its line."""
    return index.exists() and f'"{name}"'.encode() in index.read_bytes()


def _append(path: Path, line: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab", buffering=0) as out:
        out.write(line)
