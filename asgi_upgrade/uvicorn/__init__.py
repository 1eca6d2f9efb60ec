"""The uvicorn adapter: the server side of the ``http.upgrade`` extension, for each of uvicorn's HTTP parsers.

::

    uvicorn app:app --http asgi_upgrade.uvicorn:AutoProtocol
    uvicorn app:app --http asgi_upgrade.uvicorn:ZttpProtocol  # HTTP/2 too; needs asgi-upgrade[http2], experimental

Thin subclasses of uvicorn's own classes. Every request reaches the application as an ``http`` scope; one with Upgrade
that can be switched carries the extension of ``asgi_upgrade.extension``. ``connection`` says where the octets of a
connection go; ``h11``, ``httptools``, ``zttp`` and ``http2`` read them, ``body`` finds the end of a request's content,
``linger`` closes so that the last response arrives. What a request does is in ``asgi_upgrade.extension.exchange``.

What is overridden or read of uvicorn, tested on 0.36.0 (the first that takes an import string for --http) and 0.54.0:

========================================  =========  ================================================================
name                                      parser     why
========================================  =========  ================================================================
``data_received``                         all        octets may go elsewhere than to the parser; repeated for
                                                     httptools, because uvicorn drops the offset of the exception
``_should_upgrade``                       all        nothing goes to uvicorn's WebSocket classes; on h11 also the hook
                                                     between scope and task, on httptools the body's end
``send_400_response``                     all        a refused request lingers; no 400 inside another response, no 200
                                                     behind a 400, both of which uvicorn tries
``shutdown``                              all        tell the stream, and connections that are made after it
``eof_received``                          all        half-close after a switch
``connection_made``                       all        begin with nothing but a parser, and no more in a shutdown
``connection_lost``                       all        tell the stream, drop timers
``pause_writing``, ``resume_writing``     all        tell the stream
``handle_events``                         h11, zttp  bind the exchange to its cycle, hold what follows it
``on_headers_complete``                   httptools  the same, and a target that uvicorn cannot split
``__init__``                              h11, zttp  a parser that remembers the target, and on zttp is fed no more than
                                                     one message
========================================  =========  ================================================================

Over HTTP/2: ``data_received`` ``handle_request`` ``events`` ``flush`` ``on_response_complete``
``resume_reading_if_idle`` ``pause_writing`` ``resume_writing`` ``shutdown`` ``_close_connection``
``connection_made`` ``connection_lost``; why is told in ``http2``.

Read: ``config`` ``encoded_headers`` ``ws_protocol_class`` ``timeout_graceful_shutdown`` ``loaded_app`` ``app`` ``loop``
``logger`` ``access_logger`` ``access_log`` ``server_state`` ``total_requests`` ``connections`` ``transport`` ``flow``
``write_paused`` ``client`` ``root_path`` ``scope`` ``headers`` ``cycle`` ``on_response_complete``
``_unset_keepalive_if_required``; of the cycle ``scope`` ``transport`` ``on_response`` ``message_event``
``disconnected`` ``response_started`` ``response_complete``; on h11 ``conn``; on httptools ``parser`` ``url``
``pipeline`` ``on_body`` ``on_message_complete`` ``timeout_keep_alive`` ``timeout_keep_alive_task``
``timeout_keep_alive_handler`` and of the cycle ``waiting_for_100_continue``; on zttp ``conn`` ``timeout_keep_alive``
``timeout_keep_alive_task`` ``timeout_keep_alive_handler`` and of the cycle ``waiting_for_100_continue`` ``more_body``;
and ``HIGH_WATER_LIMIT`` ``get_client_addr`` ``get_path_with_query_string``.

What never reaches the application, because the parser (or uvicorn behind it) answers 400 and closes; on h11 0.16,
httptools 0.9 and zttp 0.0.35, with or without Upgrade unless said otherwise:

=============================================================  =======  =============================  =================
request                                                        h11      httptools                      zttp
=============================================================  =======  =============================  =================
HTTP/1.1 without Host, or any version with several             400      passes                         400 (1.0: passes)
version 0.9, 2.0                                               passes   passes                         400
version 1.2 to 1.9, 3.0                                        passes   400                            passes (3.0: 400)
version without a dot or with two digits                       400      400                            400
unknown or lower-case method                                   passes   400                            passes
CONNECT                                                        passes   passes (uvicorn alone: 400)    passes
absolute-form without a path                                   passes   passes with Upgrade, else 400  passes
octets above 0x7f or a space in the target                     400      400                            400
authority-form without CONNECT                                 passes   400                            passes
NUL, CR, VT, FF in a field value                               400      400                            400
other control octets in a field value                          passes   400                            400
space before the colon, empty field name                       400      400                            400
obsolete line folding                                          passes   400                            400
bare LF as line end                                            passes   400                            400
Content-Length empty, signed, too long, or two that differ     400      400                            400
Content-Length repeated with the same value, or as a list      passes   400                            a list: 400
Content-Length and Transfer-Encoding                           passes   400                            400
Transfer-Encoding empty, repeated, without ``chunked`` at end  400      400                            400
Transfer-Encoding ``gzip, chunked``                            400      400 with Upgrade, else passes  as on httptools
empty line before the request line                             400      passes                         400
incomplete head above ``h11_max_incomplete_event_size``        400      passes                         400 above 16 KiB
=============================================================  =======  =============================  =================
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from asgi_upgrade.uvicorn.h11 import H11Protocol

if TYPE_CHECKING:
    from asgi_upgrade.uvicorn.zttp import ZttpProtocol

__all__ = ["AutoProtocol", "H11Protocol", "HttpToolsProtocol", "ZttpProtocol"]
AutoProtocol: type[asyncio.Protocol]
try:
    from asgi_upgrade.uvicorn.httptools import HttpToolsProtocol
except ModuleNotFoundError:
    # As uvicorn's own "auto": httptools is optional, h11 always there.
    AutoProtocol = H11Protocol
else:
    AutoProtocol = HttpToolsProtocol


def __getattr__(name: str) -> Any:
    """Import the class on zttp when it is asked for: zttp is optional, and not needed by the others."""
    if name == "ZttpProtocol":
        try:
            from asgi_upgrade.uvicorn.zttp import ZttpProtocol  # noqa: PLC0415 - see above
        except ModuleNotFoundError as error:
            what = f"ZttpProtocol needs {error.name}; install asgi-upgrade with its extra [http2]"
            raise ModuleNotFoundError(what, name=error.name) from error
        return ZttpProtocol
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
