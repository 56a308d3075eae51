"""Leads the program zenodo_get to a server on loopback: on PYTHONPATH in tests only, never part of
rbc.
"""

import os

base = os.environ.get("RBC_ZENODO_BASE", "")
if base.startswith("http://127.0.0.1"):
    import httpx2

    straight = httpx2.HTTPTransport.handle_request

    def to_loopback(self: httpx2.HTTPTransport, request: httpx2.Request) -> httpx2.Response:
        target = httpx2.URL(base).copy_with(raw_path=request.url.raw_path)
        return straight(self, httpx2.Request(request.method, target))

    httpx2.HTTPTransport.handle_request = to_loopback
