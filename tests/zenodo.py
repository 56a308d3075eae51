"""A server on loopback that speaks the part of Zenodo's records API that is used, and misbehaves on
request.
"""

import hashlib
import io
import json
import shutil
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

RECORD = "5723606"


def opened(content: bytes | Path) -> BinaryIO:
    """Bytes or a file, to be read from its beginning."""
    return content.open("rb") if isinstance(content, Path) else io.BytesIO(content)


class Zenodo:
    """One record: `files` by name, as bytes or as paths of files that may be large; `answers` by
    path (last part), a list of statuses or bytes to give first.
    """

    def __init__(self, files: dict[str, bytes | Path]) -> None:
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
        with opened(self.files[name]) as content:
            md5 = hashlib.file_digest(content, "md5").hexdigest()
            size = content.seek(0, io.SEEK_END)
        link = f"https://zenodo.org/api/records/{RECORD}/files/{name}/content"
        return {
            "key": name,
            "size": size,
            "checksum": f"md5:{md5}",
            "links": {"self": link},
        }

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _content(self, path: str) -> tuple[str, bytes | Path | None]:
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
                with opened(content if instead is None else instead) as body:
                    size = body.seek(0, io.SEEK_END)
                    body.seek(0)
                    self.send_response(200)
                    self.send_header("Content-Length", str(size))
                    self.end_headers()
                    shutil.copyfileobj(body, self.wfile)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
