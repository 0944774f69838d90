"""What all tests start from."""

import contextlib
import gc
import http.server
import itertools
import os
import threading

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import pytest


@pytest.fixture(autouse=True)
def fresh_keras():
    """Each test starts with Keras's own names and settings."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
    keras.utils.clear_session(free_memory=False)


_modules = itertools.count(1)


@pytest.fixture(autouse=True, scope="module")
def few_models_left():
    """Graphs refer to themselves; only the collector frees them, and it takes too long to run after each file."""
    yield
    if next(_modules) % 4 == 0:
        gc.collect()


class Server(http.server.ThreadingHTTPServer):
    """Stands in for the sources of weights, on a loopback port.

    `files` maps paths to bytes, or to a function that gets the request handler.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        self.files = {}
        self.requests = []
        self.stop = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        self.server.requests.append(self.path)
        answer = self.server.files.get(self.path)
        with contextlib.suppress(ConnectionError):
            if answer is None:
                self.send_error(404)
            elif callable(answer):
                answer(self)
            else:
                self.answer(answer)

    def answer(self, content, status=200, **headers):
        """Headers with the right length unless others are given, then the content."""
        self.send_response(status)
        for name, value in {"Content_Length": len(content), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(content)

    def wait(self):
        """Nothing more, until the server stops."""
        self.wfile.flush()
        self.server.stop.wait(30)

    def trickle(self, seconds):
        for _ in range(1000):
            if self.server.stop.wait(seconds):
                return
            self.wfile.write(b"x")
            self.wfile.flush()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.stop.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server():
    with serving() as running:
        yield running
