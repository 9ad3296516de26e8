"""A stand-in for the Hugging Face hub, which takes uploads: it keeps what it is sent."""

import base64
import contextlib
import http.server
import json
import threading
from collections.abc import Iterator


class Hub:
    """repositories: name -> {path: bytes}. private: which were asked to be. tokens: what it was
    sent. refuse: a path's end -> the status that it answers there."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.tokens: set[str | None] = set()
        self.refuse: dict[str, int] = {}
        self.url = ""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict]:
        path = path.partition("?")[0]
        for end, status in self.refuse.items():
            if path.endswith(end):
                return status, {"error": "refused by the stand-in"}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.repositories.setdefault(name, {".gitattributes": b""})
            self.private[name] = asked.get("private") or asked.get("visibility") == "private"
            return 200, {"url": f"{self.url}/{name}", "id": name}
        name = "/".join(path.removeprefix("/api/models/").split("/")[:2])
        if name not in self.repositories:
            return 404, {"error": "Repository not found"}
        files = self.repositories[name]
        if method == "GET":
            return 200, {"id": name, "siblings": [{"rfilename": path} for path in files]}
        if path.endswith("/preupload/main"):
            asked = [file["path"] for file in json.loads(body)["files"]]
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            return 200, {"files": [{"path": one, **modes} for one in asked]}
        assert path.endswith("/commit/main"), path
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                content = line["value"]["content"]
                files[line["value"]["path"]] = base64.b64decode(content)
        oid = "0" * 40
        return 200, {"commitUrl": f"{self.url}/{name}/commit/{oid}", "commitOid": oid}


@contextlib.contextmanager
def running() -> Iterator[Hub]:
    hub = Hub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            hub.tokens.add(self.headers.get("Authorization"))
            status, content = hub.answer(self.command, self.path, self.rfile.read(size))
            sent = json.dumps(content).encode()
            self.send_response(status)
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
