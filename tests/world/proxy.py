"""Reverse proxies in front of a server, as ``examples/deploy`` configures them, or with what is in ``proxies/``."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import trustme

from tests.support.serving import RawClient, Response
from tests.support.wire import request
from tests.world.frames import CLOSE, CLOSED, expect_echo
from tests.world.programs import PROJECT, WAIT, Program, need, on_free_port, running, version_of

_CONFIGURATIONS = Path(__file__).parent / "proxies"
_DEPLOYED = PROJECT / "examples" / "deploy"
_UPSTREAM = "127.0.0.1:8000"
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

HOST_LINE = "proxy_set_header Host $http_host;"
FORWARDED_LINES = re.compile(r"proxy_set_header (?:X-Forwarded-\w+|Forwarded) [^;]*;")

SPOOFED = (
    (b"Origin", b"https://evil.example"),
    (b"Forwarded", b"host=evil.example;proto=https"),
    (b"X-Forwarded-Host", b"evil.example"),
    (b"X-Forwarded-Proto", b"https"),
    (b"X-Forwarded-For", b"127.0.0.1"),
    (b"X-Real-IP", b"127.0.0.1"),
)
"""A page of another origin, and every field by which a client might speak for the proxy."""

ANSWERED, CUT_OFF = "answered after the end", "cut off both ways"


class Front:
    """Clients' way to a proxy, or past it."""

    def __init__(self, port: int, authority: trustme.CA | None = None) -> None:
        self.port = port
        self.tls = None if authority is None else ssl.create_default_context()
        if self.tls is not None and authority is not None:
            authority.configure_trust(self.tls)

    def connect(self) -> RawClient:
        """Open a connection."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT)
        return RawClient(sock if self.tls is None else self.tls.wrap_socket(sock, server_hostname="localhost"))

    def answer(self, octets: bytes) -> Response:
        """Return the response to a request."""
        with self.connect() as client:
            client.send(octets)
            return client.read_response()

    def handshake(self, *add: tuple[bytes, bytes]) -> Response:
        """Return the response to a handshake for ``shop.example``."""
        return self.answer(request(add=add))

    def expect_echo(self, *add: tuple[bytes, bytes]) -> None:
        """A handshake is accepted, frames go both ways, and the closing handshake too."""
        with self.connect() as client:
            client.send(request(add=add))
            assert client.read_response().status == 101
            expect_echo(client)
            client.send(CLOSE)
            assert client.recv_exactly(len(CLOSED)) == CLOSED

    def expect_rule(self, status: int, rule: str, *add: tuple[bytes, bytes], host: bytes = b"shop.example") -> None:
        """A handshake is rejected, and the whole answer arrives."""
        response = self.answer(request(add=add, host=host))
        assert response.status == status
        assert json.loads(response.body)["rule"] == rule


def recommended() -> str:
    """Return nginx's configuration as the examples show it."""
    return (_DEPLOYED / "nginx.conf").read_text()


@contextlib.contextmanager
def nginx(prefix: Path, upstream: str, site: str = "", authority: trustme.CA | None = None) -> Iterator[int]:
    """Run nginx in front of a server.

    Args:
        prefix: A directory of its own.
        upstream: What it forwards to: ``127.0.0.1:8000`` or ``unix:/path``.
        site: The configuration, the example's if there is none.
        authority: Who signs its certificate for ``localhost``; None for cleartext.

    Yields:
        Its port.
    """
    program = need("nginx")
    tls = "" if authority is None else _certificate(prefix, authority)

    def start(port: int) -> contextlib.AbstractContextManager[Program]:
        listen = f"listen 127.0.0.1:{port}{' ssl' if tls else ''};\n{tls}"
        filled = (site or recommended()).replace("listen 443 ssl;", listen).replace(_UPSTREAM, upstream)
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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy, and what it can carry."""

    program: str
    asks_version: str
    command: tuple[str, ...] = ()
    """Its arguments; the last is followed by the path of its configuration."""
    configuration: str = ""
    """A file in ``proxies/``, in which the ports and a scratch directory are filled in; without one, the example's."""
    front: tuple[str, str] = ("", "")
    """What the example listens on, and what to write for it here."""
    ends: str = ""
    """What becomes of a client of another protocol than WebSocket that ends its half first; empty: not carried."""
    http2: bool = False
    """Whether it speaks HTTP/2 with the server, where a version that is not spoken is 400."""
    keeps_upgrade: bool = True
    """Whether it passes on Upgrade in a request that has content."""

    def version(self) -> str:
        """Return its version, or skip the test if it is not installed."""
        return version_of(need(self.program), self.asks_version)

    @contextlib.contextmanager
    def before(self, upstream: int, scratch: Path) -> Iterator[int]:
        """Run it in front of a loopback port, or skip the test if it is not installed; yield its own port."""
        if self.program == "nginx":
            with nginx(scratch, f"127.0.0.1:{upstream}") as port:
                yield port
            return
        program = need(self.program)

        def start(port: int) -> contextlib.AbstractContextManager[Program]:
            filled = self._configured(upstream)
            for word, value in (("FRONT_PORT", port), ("UPSTREAM_PORT", upstream), ("SCRATCH", scratch)):
                filled = filled.replace(word, str(value))
            path = scratch / self.configuration
            path.write_text(filled)
            return running(program, *self.command, path, cwd=scratch)

        with on_free_port(start) as (port, _):
            yield port

    def _configured(self, upstream: int) -> str:
        """Return the configuration, that of an example with loopback addresses in the place of its own."""
        shown, here = self.front
        if not shown:
            return (_CONFIGURATIONS / self.configuration).read_text()
        example = (_DEPLOYED / self.configuration).read_text()
        assert shown in example
        assert _UPSTREAM in example
        return example.replace(_UPSTREAM, f"127.0.0.1:{upstream}").replace(shown, here)


_CADDY = """{
	admin off
	auto_https off
	persist_config off
	storage file_system SCRATCH
}
http://:FRONT_PORT {
	bind 127.0.0.1"""

PROXIES = {
    "nginx": Proxy(program="nginx", asks_version="-v"),
    "HAProxy": Proxy(
        program="haproxy",
        asks_version="-v",
        command=("-db", "-f"),
        configuration="haproxy.cfg",
        front=("bind :443 ssl crt /etc/haproxy/shop.example.pem", "bind 127.0.0.1:FRONT_PORT"),
        ends=ANSWERED,
        keeps_upgrade=False,
    ),
    "Apache httpd": Proxy(
        program="apache2",
        asks_version="-v",
        command=("-D", "FOREGROUND", "-f"),
        configuration="httpd.conf",
        ends=ANSWERED,
    ),
    "Caddy": Proxy(
        program="caddy",
        asks_version="version",
        command=("run", "--adapter", "caddyfile", "--config"),
        configuration="Caddyfile",
        front=("shop.example {", _CADDY),
        ends=ANSWERED,
    ),
    "Envoy": Proxy(
        program="envoy",
        asks_version="--version",
        command=("--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "--config-path"),
        configuration="envoy.yaml",
        ends=CUT_OFF,
    ),
}
"""Those that speak HTTP/1.1 both ways."""

ENVOY_HTTP2 = dataclasses.replace(PROXIES["Envoy"], configuration="envoy-http2.yaml", http2=True)
"""Envoy that turns a client's Upgrade into an extended CONNECT (RFC 8441)."""
