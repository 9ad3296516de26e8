"""A stand-in for an endpoint: an HTTP server of this machine that speaks chat completions."""

import contextlib
import http.server
import json
import threading
import time

from vcjax.judges.judgement import ASKED


def completion(text, finish="stop"):
    """The answer of an endpoint: (HTTP status, headers, body)."""
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": text},
    }
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return 200, {}, body


def refusal(status, headers=(), **error):
    return status, dict(headers), {"error": {"message": "no", **error}}


class StandIn:
    """requests: the bodies that came, headers: theirs, times: when (s); answer: body -> (HTTP
    status, headers, body), where a body that is text is sent as it is."""

    def __init__(self):
        self.requests, self.headers, self.times = [], [], []
        self.answer = lambda body: completion("Fine.\nScore: 7")
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stand_in.times.append(time.monotonic())
                stand_in.headers.append({k.lower(): v for k, v in self.headers.items()})
                stand_in.requests.append(body)
                status, headers, answer = stand_in.answer(body)
                sent = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
                self.send_response(status)
                kind = {"Content-Type": "application/json", "Content-Length": str(len(sent))}
                for name, value in {**kind, **headers}.items():
                    self.send_header(name, value)
                with contextlib.suppress(OSError):  # the client was killed
                    self.end_headers()
                    self.wfile.write(sent)

            def log_message(self, *arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def texts(self):
        """What was asked, without the sentence that vcjax appends."""
        contents = [body["messages"][0]["content"] for body in self.requests]
        return [content.removesuffix(f"\n\n{ASKED}") for content in contents]

    @contextlib.contextmanager
    def running(self):
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
