"""One file from the network, whole and checked or not at all.

Weights are fetched over https; plain http is for this machine alone (a mirror in a test, or behind a tunnel). Every
redirect has to obey the same rule. What arrives is limited in size and time, compared with the length that the server
stated and with a hash where one is known, and gets its name only when all of that is proven.

A mirror stands in for a source by an environment variable, `ZOO_MIRROR_TORCHVISION`, `ZOO_MIRROR_TIMM` or
`ZOO_MIRROR_KERAS`: a base URL that takes the place of the source's scheme and host; paths stay.
"""

import contextlib
import functools
import hashlib
import http.client
import ipaddress
import os
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from zoo.files import write_atomic

MIRRORS = {
    "torchvision": "ZOO_MIRROR_TORCHVISION",
    "timm": "ZOO_MIRROR_TIMM",
    "keras": "ZOO_MIRROR_KERAS",
}
MAX_REDIRECTS = 5
_CHUNK_BYTES = 1 << 20
_REDIRECTS = (301, 302, 303, 307, 308)

Progress = Callable[[int, int | None], None]


class DownloadError(OSError):
    """A file could not be fetched, or is not what was expected; nothing was written."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much and how long a download may take.

    Attributes:
        max_bytes: Largest size.
        connect_seconds: For each address of the server, until it answers.
        stall_seconds: Without a single byte.
        total_seconds: For everything, redirects included.
    """

    max_bytes: int = 2 << 30
    connect_seconds: float = 15
    stall_seconds: float = 30
    total_seconds: float = 3600


_LIMITS = Limits()


def download(
    url: str,
    path: str | os.PathLike,
    *,
    sha256: str = "",
    md5: str = "",
    limits: Limits = _LIMITS,
    progress: Progress | None = None,
) -> str:
    """Fetch a file; `path` holds all of it afterwards, or what it held before.

    Args:
        url: An https URL, or an http URL of this machine.
        path: Where to. The folder must exist.
        sha256: What the SHA-256 has to start with: all 64 hexadecimal digits, or as many as are known.
        md5: The MD5, where a source publishes nothing better: it proves that nothing was damaged, not who made it.
        limits: Sizes and times at which it is given up.
        progress: Called with the number of bytes so far and the size, None if the server does not state it.

    Returns:
        The SHA-256 of the file, 64 hexadecimal digits.

    Raises:
        ValueError: The URL is neither https nor http of this machine.
        DownloadError: The server is not reached, stalls, answers with an error, a web page, too much or too little,
            redirects where it must not, or the hash is another one.
        OSError: The disk is full, the folder is read-only and the like.

    Example:
        >>> from zoo.weights.download import download
        >>> download("http://example.org/weights", "weights")
        Traceback (most recent call last):
            ...
        ValueError: Weights are fetched over https, or over http from this machine. Received: http://example.org/weights
    """
    if not _is_allowed(url):
        raise ValueError(f"Weights are fetched over https, or over http from this machine. Received: {url}")
    with _Watch(limits) as watch:
        try:
            with _open(url, watch, limits) as response:
                return write_atomic(path, _checked(response, url, sha256, md5, limits, progress))
        except DownloadError:
            if watch.is_over:
                raise watch.error(url) from None
            raise
        except urllib.error.HTTPError as error:
            error.close()
            raise DownloadError(f"{error.url} answers {error.code} {error.reason}.") from None
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            if watch.is_over:
                raise watch.error(url) from None
            raise DownloadError(_reason(url, error, limits)) from error


def mirrored(url: str, source: str) -> str:
    """The URL at the mirror that the environment names for a source, or the URL itself.

    Example:
        >>> from zoo.weights.download import mirrored
        >>> mirrored("https://example.org/models/a.pth", "torchvision")
        'https://example.org/models/a.pth'
    """
    base = os.environ.get(MIRRORS.get(source, ""), "")
    if not base:
        return url
    parts = urllib.parse.urlsplit(url)
    return base.rstrip("/") + parts.path + (f"?{parts.query}" if parts.query else "")


def _is_allowed(url: str) -> bool:
    """Whether the URL is https, or http of a loopback address."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    if parts.scheme != "http" or not parts.hostname:
        return False
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return False


class _Watch:
    """Ends the connection when the time for everything is over, whatever the connection waits for."""

    def __init__(self, limits: Limits) -> None:
        self._seconds = limits.total_seconds
        self._timer = threading.Timer(limits.total_seconds, self._end)
        self._timer.daemon = True
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self.is_over = False

    def __enter__(self) -> "_Watch":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def add(self, connected: socket.socket) -> None:
        with self._lock:
            self._sockets.append(connected)
            if self.is_over:
                self._close(connected)

    def error(self, url: str) -> DownloadError:
        return DownloadError(f"{url} took longer than {self._seconds:g} s.")

    def _end(self) -> None:
        with self._lock:
            self.is_over = True
            for connected in self._sockets:
                self._close(connected)

    @staticmethod
    def _close(connected: socket.socket) -> None:
        # The plain socket's method: that of a TLS socket would take away what another thread reads from.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _watched(base: type[http.client.HTTPConnection], watch: _Watch, limits: Limits, host: str, **options: Any) -> Any:
    """A connection that the watch can end; it may take longer without a byte than to be made."""

    class Connection(base):  # type: ignore[misc, valid-type]
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(limits.stall_seconds)
            watch.add(self.sock)

    return Connection(host, **{**options, "timeout": limits.connect_seconds})


class _Http(urllib.request.HTTPHandler):
    def __init__(self, watch: _Watch, limits: Limits) -> None:
        super().__init__()
        self._connection = functools.partial(_watched, http.client.HTTPConnection, watch, limits)

    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(self._connection, request)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, watch: _Watch, limits: Limits) -> None:
        super().__init__()
        self._connection = functools.partial(_watched, http.client.HTTPSConnection, watch, limits)

    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(self._connection, request)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Refuses a redirect to where no request would have been sent, and too many of them."""

    def __init__(self) -> None:
        self._count = 0

    def redirect_request(self, request: Any, file: Any, code: Any, message: Any, headers: Any, url: str) -> Any:
        file.close()
        self._count += 1
        if self._count > MAX_REDIRECTS:
            raise DownloadError(f"{request.full_url} redirects more than {MAX_REDIRECTS} times.")
        if not _is_allowed(url):
            raise DownloadError(f"{request.full_url} redirects to {url}, which is not https.")
        return urllib.request.Request(url, headers=dict(request.headers))


def _open(url: str, watch: _Watch, limits: Limits) -> http.client.HTTPResponse:
    opener = urllib.request.build_opener(_Http(watch, limits), _Https(watch, limits), _Redirects())
    request = urllib.request.Request(url, headers={"User-Agent": "cnn-zoo", "Accept-Encoding": "identity"})
    return opener.open(request, timeout=limits.connect_seconds)


def _checked(
    response: http.client.HTTPResponse, url: str, sha256: str, md5: str, limits: Limits, progress: Progress | None
) -> Iterator[bytes]:
    """The body in chunks; an error after the last one if they are not what was expected."""
    if response.status != 200:
        raise DownloadError(f"{url} answers {response.status} {response.reason}.")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError(f"{url} answers in the encoding {response.headers['Content-Encoding']!r}, unasked.")
    stated = response.headers.get("Content-Length")
    size = int(stated) if stated is not None and stated.isdigit() else None
    if size is None and not sha256 and not md5:
        raise DownloadError(f"{url} does not state its length, and no hash is known: it could be cut off unseen.")
    if size is not None and size > limits.max_bytes:
        raise DownloadError(f"{url} states {size:,} bytes, more than the limit of {limits.max_bytes:,}.")
    digests = {"SHA-256": (hashlib.sha256(), sha256), "MD5": (hashlib.md5(usedforsecurity=False), md5)}
    received = 0
    while chunk := _next(response, url, limits):
        if not received and _is_page(response.headers.get_content_type(), chunk):
            raise DownloadError(
                f"{url} answers with a web page instead of a file; the network may ask for a login first."
            )
        received += len(chunk)
        if received > limits.max_bytes:
            raise DownloadError(f"{url} sends more than the limit of {limits.max_bytes:,} bytes.")
        for digest, _ in digests.values():
            digest.update(chunk)
        if progress is not None:
            progress(received, size)
        yield chunk
    if received == 0 or (size is not None and received != size):
        raise DownloadError(f"{url} broke off: {received:,} bytes of {'some' if size is None else f'{size:,}'}.")
    for name, (digest, expected) in digests.items():
        if not digest.hexdigest().startswith(expected.lower()):
            raise DownloadError(
                f"{url} is another file than expected: its {name} is {digest.hexdigest()}, expected {expected}."
            )


def _next(response: http.client.HTTPResponse, url: str, limits: Limits) -> bytes:
    """The next bytes; a connection that fails is told apart from a disk that does, which raises OSError too."""
    try:
        return response.read1(_CHUNK_BYTES)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DownloadError(_reason(url, error, limits)) from error


def _is_page(content_type: str, start: bytes) -> bool:
    return content_type in ("text/html", "application/xhtml+xml") or start.lstrip()[:1] == b"<"


def _reason(url: str, error: BaseException, limits: Limits) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"{url} stalled: nothing came for {limits.stall_seconds:g} s, or no connection in " \
               f"{limits.connect_seconds:g} s."  # fmt: skip
    return f"{url} is not reached: {cause or type(error).__name__}."
