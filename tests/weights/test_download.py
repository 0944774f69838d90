"""The downloader against a real server that does what servers and networks do."""

import functools
import hashlib
import os
import socket
import time

import pytest

from zoo.weights.download import DownloadError, Limits, download, mirrored

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = Limits(max_bytes=10 * len(CONTENT), connect_seconds=2, stall_seconds=0.3, total_seconds=20)


@pytest.fixture
def path(tmp_path):
    """Where to; what lies there already must survive a download that fails."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    yield path
    assert os.listdir(tmp_path) == ["file"]


def refused(path, url, message, **options):
    with pytest.raises(DownloadError, match=message):
        download(url, path, **{"limits": QUICK, **options})
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    "hashes",
    [{}, {"sha256": SHA256}, {"sha256": SHA256[:8].upper()}, {"md5": hashlib.md5(CONTENT).hexdigest()}],
    ids=["none", "sha256", "prefix", "md5"],
)
def test_a_whole_file_arrives(server, path, hashes):
    server.files["/a"] = CONTENT
    seen = []
    digest = download(f"{server.url}/a", path, limits=QUICK, progress=lambda *now: seen.append(now), **hashes)
    assert digest == SHA256
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("url", ["http://example.org/a", "ftp://127.0.0.1/a", "file:///etc/hosts", "https://", "a",
                                 "http://127.0.0.1.example.org/a", "http://localhost.example.org/a"])  # fmt: skip
def test_only_https_or_this_machine(path, url):
    with pytest.raises(ValueError, match=f"fetched over https, or over http from this machine. Received: {url}"):
        download(url, path)


@pytest.mark.parametrize("hashes", [{"sha256": "0" * 64}, {"sha256": "00000000"}, {"md5": "0" * 32}])
def test_another_file_is_refused(server, path, hashes):
    server.files["/a"] = CONTENT
    ((name, value),) = hashes.items()
    refused(path, f"{server.url}/a", f"its {name.upper().replace('SHA', 'SHA-')} is .*, expected {value}", **hashes)


def test_a_body_that_is_cut_off(server, path):
    server.files["/a"] = lambda request: request.answer(CONTENT[:5000], Content_Length=len(CONTENT))
    refused(path, f"{server.url}/a", "broke off: 5,000 bytes of 102,400")


def test_an_empty_body(server, path):
    server.files["/a"] = b""
    refused(path, f"{server.url}/a", "broke off: 0 bytes of 0")


def test_a_server_that_understates_the_length(server, path):
    """What is beyond the stated length is never read: the hash tells."""
    server.files["/a"] = lambda request: request.answer(CONTENT, Content_Length=5000)
    refused(path, f"{server.url}/a", "its SHA-256 is", sha256=SHA256)


def test_a_length_that_is_missing_needs_a_hash(server, path):
    server.files["/a"] = lambda request: request.answer(CONTENT, Content_Length=None)
    refused(path, f"{server.url}/a", "does not state its length, and no hash is known")
    assert download(f"{server.url}/a", path, sha256=SHA256, limits=QUICK) == SHA256
    path.write_bytes(b"old")


def test_chunks_that_end_early(server, path):
    def answer(request):
        request.protocol_version = "HTTP/1.1"
        request.answer(b"%x\r\n%s\r\n" % (100, CONTENT[:100]), Content_Length=None, Transfer_Encoding="chunked")
        request.close_connection = True

    server.files["/a"] = answer
    refused(path, f"{server.url}/a", "is not reached|its SHA-256 is", sha256=SHA256)


def test_a_file_that_is_too_large(server, path):
    limits = Limits(max_bytes=len(CONTENT) - 1)
    server.files["/a"] = CONTENT
    refused(path, f"{server.url}/a", "states 102,400 bytes, more than the limit of 102,399", limits=limits)
    server.files["/b"] = lambda request: request.answer(CONTENT, Content_Length=None)
    refused(path, f"{server.url}/b", "sends more than the limit of 102,399 bytes", limits=limits, sha256=SHA256)
    server.files["/c"] = lambda request: request.answer(b"x", Content_Length=1 << 60)
    refused(path, f"{server.url}/c", "states 1,152,921,504,606,846,976 bytes, more than")


@pytest.mark.parametrize("kind", ["type", "content"])
def test_a_web_page_is_refused(server, path, kind):
    page = b"<!DOCTYPE html><html>Please log in</html>" if kind == "content" else CONTENT
    headers = {"Content_Type": "text/html; charset=utf-8" if kind == "type" else "application/octet-stream"}
    server.files["/a"] = lambda request: request.answer(page, **headers)
    refused(path, f"{server.url}/a", "answers with a web page instead of a file; the network may ask for a login")


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_an_error_of_the_server(server, path, status):
    server.files["/a"] = lambda request: request.answer(b"no", status=status)
    refused(path, f"{server.url}/a", f"/a answers {status} ")


@pytest.mark.parametrize("status", [204, 206])
def test_an_answer_that_is_no_whole_file(server, path, status):
    server.files["/a"] = lambda request: request.answer(CONTENT if status == 206 else b"", status=status)
    refused(path, f"{server.url}/a", f"/a answers {status} ")


def test_an_encoding_that_nobody_asked_for(server, path):
    server.files["/a"] = lambda request: request.answer(CONTENT, Content_Encoding="gzip")
    refused(path, f"{server.url}/a", "answers in the encoding 'gzip', unasked")


def redirect(target, request, status=302):
    request.answer(b"", status=status, Location=target)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(server, path, status):
    server.files["/a"] = functools.partial(redirect, "/b", status=status)
    server.files["/b"] = CONTENT
    assert download(f"{server.url}/a", path, limits=QUICK) == SHA256
    assert server.requests == ["/a", "/b"]
    path.write_bytes(b"old")


def test_a_redirect_names_the_new_host(server, path):
    hosts = []

    def answer(request):
        hosts.append(request.headers["Host"])
        request.answer(CONTENT)

    server.files["/a"] = functools.partial(redirect, f"http://localhost:{server.server_port}/b")
    server.files["/b"] = answer
    assert download(f"{server.url}/a", path, limits=QUICK) == SHA256
    assert hosts == [f"localhost:{server.server_port}"]
    path.write_bytes(b"old")


@pytest.mark.parametrize("target", ["http://example.org/b", "ftp://127.0.0.1/b", "file:///etc/hosts"])
def test_a_redirect_to_where_no_request_would_go(server, path, target):
    server.files["/a"] = functools.partial(redirect, target)
    refused(path, f"{server.url}/a", "is not https|redirection to url .* is not allowed|answers 302")
    assert server.requests == ["/a"]


def test_redirects_are_counted(server, path):
    for number in range(9):
        server.files[f"/{number}"] = functools.partial(redirect, f"/{number + 1}")
    server.files["/9"] = CONTENT
    refused(path, f"{server.url}/0", "redirects more than 5 times")
    assert server.requests == [f"/{number}" for number in range(6)]
    server.files["/a"] = functools.partial(redirect, "/a")
    refused(path, f"{server.url}/a", "redirects more than 5 times|infinite loop")


@pytest.mark.parametrize("where", ["before the headers", "in the headers", "in the body"])
def test_a_server_that_stalls(server, path, where):
    def answer(request):
        if where == "in the headers":
            request.wfile.write(b"HTTP/1.0 200 OK\r\nContent-")
        elif where == "in the body":
            request.answer(CONTENT[:5000], Content_Length=len(CONTENT))
        request.wait()

    server.files["/a"] = answer
    began = time.monotonic()
    refused(path, f"{server.url}/a", "stalled: nothing came for 0.3 s")
    assert 0.3 <= time.monotonic() - began < 5


@pytest.mark.parametrize("where", ["in the headers", "in the body"])
def test_a_server_that_trickles(server, path, where):
    """A byte now and then is no stall; the time for everything ends it."""

    def answer(request):
        if where == "in the headers":
            request.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
        else:
            request.answer(CONTENT[:1], Content_Length=len(CONTENT))
        request.trickle(0.1)

    server.files["/a"] = answer
    began = time.monotonic()
    limits = Limits(stall_seconds=5, total_seconds=1)
    refused(path, f"{server.url}/a", "took longer than 1 s", limits=limits)
    assert time.monotonic() - began < 4


def test_nobody_answers(path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        refused(path, f"http://127.0.0.1:{port}/a", "is not reached: .*refused")


def test_a_server_that_hangs_up(server, path):
    server.files["/a"] = lambda request: None
    refused(path, f"{server.url}/a", "is not reached: ")


def test_a_server_without_tls(server, path):
    refused(path, f"https://127.0.0.1:{server.server_port}/a", "is not reached: ")


def test_a_folder_that_is_not_there(server, tmp_path):
    server.files["/a"] = CONTENT
    with pytest.raises(FileNotFoundError):
        download(f"{server.url}/a", tmp_path / "nowhere" / "file", limits=QUICK)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
def test_a_full_disk_is_no_fault_of_the_server(server, path, monkeypatch):
    """The file grows beyond what the process may write."""
    import resource
    import signal

    server.files["/a"] = CONTENT
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as error:
            download(f"{server.url}/a", path, limits=QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not isinstance(error.value, DownloadError)
    assert path.read_bytes() == b"old"


def test_mirrors(monkeypatch):
    url = "https://download.pytorch.org/models/a.pth?download=true"
    assert mirrored(url, "torchvision") == url
    monkeypatch.setenv("ZOO_MIRROR_TORCHVISION", "https://mirror.example/pytorch/")
    assert mirrored(url, "torchvision") == "https://mirror.example/pytorch/models/a.pth?download=true"
    assert mirrored(url, "timm") == url
    assert mirrored(url, "elsewhere") == url
