"""A server on loopback that speaks the part of Zenodo's records API that is used, and misbehaves on
request.
"""

import hashlib
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

RECORD = "5723606"


class Zenodo:
    """One record: `files` by name; `answers` by path (last part), a list of statuses or bytes to
    give first.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = dict(files)
        self.answers: dict[str, list[int | bytes]] = {}
        self.asked: Counter[str] = Counter()
        self.record = {
            "id": int(RECORD),
            "doi": f"10.5281/zenodo.{RECORD}",
            "metadata": {"title": "Sequences", "version": "1.0", "license": {"id": "cc-by-4.0"}},
            "files": [self.entry(name) for name in files],
        }
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def entry(self, name: str) -> dict:
        content = self.files[name]
        link = f"https://zenodo.org/api/records/{RECORD}/files/{name}/content"
        md5 = hashlib.md5(content).hexdigest()
        return {
            "key": name,
            "size": len(content),
            "checksum": f"md5:{md5}",
            "links": {"self": link},
        }

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _content(self, path: str) -> tuple[str, bytes | None]:
        if path == f"/api/records/{RECORD}":
            return "record", json.dumps(self.record).encode()
        name = path.removesuffix("/content").rsplit("/", 1)[-1]
        return name, self.files.get(name)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        zenodo = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name, content = zenodo._content(unquote(self.path))
                zenodo.asked[name] += 1
                queue = zenodo.answers.get(name, [])
                instead = queue.pop(0) if queue else None
                if isinstance(instead, int) or content is None:
                    self.send_response(instead or 404)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                body = content if instead is None else instead
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
