"""nginx in front: the README's configuration, one that rewrites Host, and who may speak for others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from asgi_upgrade import UpgradeMiddleware
from tests.integration.conftest import parser
from tests.support.serving import serve
from tests.support.wire import request
from tests.world import service
from tests.world.conftest import Record
from tests.world.programs import need, version_of
from tests.world.proxy import FORWARDED_LINES, HOST_LINE, SPOOFED, Front, nginx, recommended

__all__ = ["parser"]

pytestmark = pytest.mark.world

EVIL = (b"Origin", b"https://evil.example")
SHOP = (b"Origin", b"https://shop.example")

REWRITING = recommended().replace(HOST_LINE, "")
"""nginx's default: Host becomes the upstream's, and only the forwarded fields say what the client asked for."""

FORWARDED = FORWARDED_LINES.sub("", REWRITING).replace(
    "proxy_http_version", 'proxy_set_header Forwarded "host=\\"$http_host\\";proto=$scheme";\nproxy_http_version'
)
"""The same with the field of RFC 7239."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs nginx's certificate."""
    return trustme.CA()


@pytest.fixture
def version() -> str:
    """The version of nginx."""
    return version_of(need("nginx"), "-v")


def test_recommended_configuration_forwards_websocket_and_nothing_else(
    tmp_path: Path, parser: str, record: Record, version: str
) -> None:
    done = "the README's configuration: same origin, foreign origin, h2c offer, close handshake"
    record("nginx", version, done, "101 and echo; 403; served as plain HTTP; closed with 1000")
    with serve(service.open_app, http=parser) as server, nginx(tmp_path, f"127.0.0.1:{server.port}") as port:
        front = Front(port)
        front.expect_echo((b"Origin", b"http://shop.example"))
        front.expect_rule(403, "ws-origin-check", EVIL)
        # Strict rejects an offer of h2c; it never gets there.
        offer = request(b"GET /plain HTTP/1.1", upgrade=b"h2c", connection=b"Upgrade, HTTP2-Settings")
        told = json.loads(front.answer(offer).body)
        assert told["type"] == "http"
        assert "upgrade" not in dict(told["headers"])


@pytest.fixture(params=[REWRITING, FORWARDED], ids=["x-forwarded", "forwarded"])
def rewriting(request: pytest.FixtureRequest) -> str:
    """A configuration that rewrites Host."""
    site: str = request.param
    return site


def test_host_is_rewritten_and_the_proxy_is_trusted(
    tmp_path: Path, rewriting: str, authority: trustme.CA, record: Record, version: str
) -> None:
    done = "rewrites Host over TLS; `trusted_proxies` names it; X-Forwarded-Host and -Proto, or Forwarded"
    record("nginx", version, done, "same origin 101; foreign origin and http origin 403")
    app = UpgradeMiddleware(service.app, trusted_proxies=["127.0.0.1"])
    with serve(app) as server, nginx(tmp_path, f"127.0.0.1:{server.port}", rewriting, authority) as port:
        front = Front(port, authority)
        front.expect_echo(SHOP)
        front.expect_rule(403, "ws-origin-check", EVIL)
        front.expect_rule(403, "ws-origin-check", (b"Origin", b"http://shop.example"))


def test_host_is_rewritten_over_a_unix_socket(tmp_path: Path, rewriting: str, record: Record, version: str) -> None:
    record("nginx", version, 'rewrites Host, unix socket; `trusted_proxies=["unix"]`', "same origin 101; foreign 403")
    app = UpgradeMiddleware(service.app, trusted_proxies=["unix"])
    path = tmp_path / "s"
    with serve(app, uds=path), nginx(tmp_path, f"unix:{path}", rewriting) as port:
        front = Front(port)
        front.expect_echo((b"Origin", b"http://shop.example"))
        front.expect_rule(403, "ws-origin-check", EVIL)


def test_host_is_rewritten_and_nobody_is_trusted(tmp_path: Path, rewriting: str, record: Record, version: str) -> None:
    record("nginx", version, "rewrites Host; `trusted_proxies` does not name it", "same origin 403: cannot be known")
    app = UpgradeMiddleware(service.app, trusted_proxies=["10.0.0.0/8", "unix"])
    with serve(app) as server, nginx(tmp_path, f"127.0.0.1:{server.port}", rewriting) as port:
        Front(port).expect_rule(403, "ws-origin-check", (b"Origin", b"http://shop.example"))


def test_a_client_of_the_proxy_cannot_speak_for_it(tmp_path: Path, record: Record, version: str) -> None:
    done = "a client writes Forwarded, X-Forwarded-* and X-Real-IP of its own"
    record("nginx", version, done, "403 through the proxy and past it")
    app = UpgradeMiddleware(service.app, trusted_proxies=["127.0.0.1"])
    for site in (recommended(), REWRITING, FORWARDED):
        with serve(app) as server, nginx(tmp_path, f"127.0.0.1:{server.port}", site) as port:
            Front(port).expect_rule(403, "ws-origin-check", *SPOOFED)


@pytest.mark.parametrize("proxy_headers", [True, False])
def test_spoofed_fields_of_an_untrusted_peer_change_nothing(parser: str, *, proxy_headers: bool) -> None:
    app = UpgradeMiddleware(service.app, trusted_proxies=["10.0.0.5", "unix"])
    with serve(app, http=parser, proxy_headers=proxy_headers) as server:
        front = Front(server.port)
        front.expect_rule(403, "ws-origin-check", *SPOOFED)
        front.expect_echo(SHOP, *SPOOFED[1:])


@pytest.fixture
def trusting(tmp_path: Path) -> Iterator[Front]:
    """A server that trusts the proxy before it; the proxy passes on what the client says."""
    with serve(service.proxied_app) as server, nginx(tmp_path, f"127.0.0.1:{server.port}", REWRITING) as port:
        yield Front(port)


def test_no_forwarded_element_but_the_last_counts(trusting: Front) -> None:
    # nginx writes the field anew; a client's own line never gets through.
    trusting.expect_rule(403, "ws-origin-check", EVIL, (b"X-Forwarded-Host", b"shop.example, evil.example"))
    trusting.expect_echo((b"Origin", b"http://shop.example"), (b"X-Forwarded-Host", b"evil.example"))
