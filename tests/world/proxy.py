"""nginx in front of a server, with the configuration that the README recommends."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import trustme

from tests.world.programs import PROJECT, Program, need, on_free_port, running

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

HOST_LINE = "proxy_set_header Host $http_host;"
FORWARDED_LINES = re.compile(r"proxy_set_header (?:X-Forwarded-\w+|Forwarded) [^;]*;")


def recommended() -> str:
    """Return the configuration as it stands in the README."""
    match = re.search(r"```nginx\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    assert match is not None
    return match[1]


@contextlib.contextmanager
def nginx(prefix: Path, upstream: str, site: str = "", authority: trustme.CA | None = None) -> Iterator[int]:
    """Run nginx in front of a server.

    Args:
        prefix: A directory of its own.
        upstream: What it forwards to: ``127.0.0.1:8000`` or ``unix:/path``.
        site: The configuration, the README's if there is none.
        authority: Who signs its certificate for ``localhost``; None for cleartext.

    Yields:
        Its port.
    """
    program = need("nginx")
    tls = "" if authority is None else _certificate(prefix, authority)

    def start(port: int) -> contextlib.AbstractContextManager[Program]:
        listen = f"listen 127.0.0.1:{port}{' ssl' if tls else ''};\n{tls}"
        filled = (site or recommended()).replace("listen 443 ssl;", listen).replace("127.0.0.1:8000", upstream)
        assert listen in filled
        assert upstream in filled
        path = prefix / "nginx.conf"
        path.write_text(_configuration(prefix, filled))
        return running(program, "-p", prefix, "-c", path, "-e", "stderr", cwd=prefix)

    with on_free_port(start) as (port, _):
        yield port


def _configuration(prefix: Path, site: str) -> str:
    temporary = "".join(f"{name}_temp_path {prefix}/{name};\n" for name in _TEMPORARY)
    head = f"daemon off;\nmaster_process off;\npid {prefix}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
    return f"{head}http {{\naccess_log off;\n{temporary}{site}}}\n"


def _certificate(prefix: Path, authority: trustme.CA) -> str:
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(prefix / "server.pem"))
    return f"ssl_certificate {prefix}/server.pem;\nssl_certificate_key {prefix}/server.pem;\n"
