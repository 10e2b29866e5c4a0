"""nginx and HAProxy as they come, each before the same engine: what they refuse, we do not accept."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from tests.e2e.harness import free_port
from tests.e2e.hostile.line import Line

_NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/log; worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_header_timeout 2s; client_body_timeout 2s;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{engine}; proxy_http_version 1.1; proxy_pass_request_headers on; }}
  }}
}}
"""

_HAPROXY = """
global
  maxconn 200
defaults
  mode http
  timeout connect 2s
  timeout client 2s
  timeout server 5s
  timeout http-request 2s
frontend all
  bind 127.0.0.1:{port}
  default_backend engine
backend engine
  server e0 127.0.0.1:{engine}
"""


class Proxy:
    """One of them, from C{with} to its end."""

    def __init__(self, kind: str, engine: int) -> None:
        """@param kind: C{nginx} or C{haproxy}."""
        self.port = free_port()
        folder = tempfile.mkdtemp()
        text = {"nginx": _NGINX, "haproxy": _HAPROXY}[kind].format(folder=folder, port=self.port, engine=engine)
        Path(folder, "conf").write_text(text)
        program = found(kind)
        assert program is not None
        command = {
            "nginx": (program, "-p", folder, "-c", f"{folder}/conf"),
            "haproxy": (program, "-f", f"{folder}/conf"),
        }
        self._process = subprocess.Popen(command[kind], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self) -> Proxy:
        for _ in range(400):
            try:
                with Line(self.port):
                    return self
            except ConnectionRefusedError:
                time.sleep(0.02)
        raise AssertionError("it does not listen")

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(10)


def found(kind: str) -> str | None:
    """Where the program is; Debian has both where only root looks."""
    return shutil.which(kind) or shutil.which(kind, path="/usr/sbin:/usr/local/sbin")
