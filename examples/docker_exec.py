"""Docker's ``exec`` over ``Upgrade: tcp``: enough of the Engine API for one make-believe container named ``demo``.

Run it with ``uvicorn examples.docker_exec:app --http asgi_upgrade.uvicorn:AutoProtocol --port 2375`` and then::

    export DOCKER_HOST=tcp://127.0.0.1:2375
    echo hello | docker exec -i demo cat

There is no container: a command runs as a child of the server. Only fixed, harmless commands can be run: ``cat``,
``env`` and ``false`` without arguments, ``echo`` with any, in an environment that holds nothing of the server's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import secrets
import struct
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from asgi_upgrade import LOCALHOST, UpgradedStream, UpgradeMiddleware, UpgradeRequest

logging.basicConfig(level=logging.INFO, format="%(levelname)s:     %(name)s: %(message)s")

API = "1.43"
NAME, ID = "demo", "d3" * 32
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOSTNAME": NAME}
COMMANDS = {"cat": 0, "env": 0, "false": 0, "echo": 100}
"""What can be run, and with how many arguments at most."""

START = re.compile(r"(?:/v[0-9.]+)?/exec/([0-9a-f]+)/start")
JSON = [(b"content-type", b"application/json")]
STDOUT, STDERR = 1, 2


@dataclass(slots=True)
class Session:
    """One command, from its creation on."""

    command: list[str]
    attach_stdin: bool
    running: bool = False
    exit_code: int | None = None


sessions: dict[str, Session] = {}


# The engine's plain HTTP


def refused(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status)


async def ping(_: Request) -> Response:
    return Response("OK", headers={"Api-Version": API, "Ostype": "linux"})


async def inspect(request: Request) -> Response:
    if (name := request.path_params["name"]) not in {NAME, ID}:
        return refused(404, f"No such container: {name}")
    return JSONResponse({"Id": ID, "Name": f"/{NAME}", "State": {"Status": "running", "Running": True}})


async def create(request: Request) -> Response:
    if (name := request.path_params["name"]) not in {NAME, ID}:
        return refused(404, f"No such container: {name}")
    wanted = await request.json()
    command = wanted.get("Cmd") or [""]
    if len(command) - 1 > COMMANDS.get(command[0], -1):
        return refused(400, f"only {', '.join(COMMANDS)} can be run here")
    if wanted.get("Tty"):
        return refused(400, "there is no terminal here; leave out -t")
    while len(sessions) >= 100:
        del sessions[next(iter(sessions))]
    session_id = secrets.token_hex(32)
    sessions[session_id] = Session(command, attach_stdin=bool(wanted.get("AttachStdin")))
    return JSONResponse({"Id": session_id}, 201)


async def inspect_session(request: Request) -> Response:
    session = sessions.get(session_id := request.path_params["id"])
    if session is None:
        return refused(404, f"No such exec instance: {session_id}")
    return JSONResponse({"ID": session_id, "Running": session.running, "ExitCode": session.exit_code, "Pid": 1})


# The session, behind the 101


async def attach(request: UpgradeRequest) -> None:
    """Handle ``Upgrade: tcp``; what is not the start of a session is left to the application."""
    match = START.fullmatch(request.scope["path"])
    if match is None:
        return
    session = sessions.get(match[1])
    if session is None or session.running or session.exit_code is not None:
        message = json.dumps({"message": f"No such exec instance: {match[1]}"}).encode()
        await request.reject(404, body=message, headers=JSON)
        return
    session.running = True
    kind = b"application/vnd.docker.multiplexed-stream"
    async with request.switch([(b"content-type", kind)]) as stream:
        try:
            session.exit_code = await run(session, stream)
        finally:
            session.running = False


async def run(session: Session, stream: UpgradedStream) -> int:
    """Run the command with its three streams on the connection, and return its exit code."""
    stdin = PIPE if session.attach_stdin else DEVNULL
    process = await asyncio.create_subprocess_exec(
        *session.command, stdin=stdin, stdout=PIPE, stderr=PIPE, env=ENVIRONMENT
    )
    incoming = asyncio.ensure_future(feed(process, stream))
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(forward(process.stdout, STDOUT, stream))
            group.create_task(forward(process.stderr, STDERR, stream))
        return await process.wait()
    finally:
        incoming.cancel()
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def feed(process: Process, stream: UpgradedStream) -> None:
    """Give the command what the client sends, to the end of the client's half."""
    if process.stdin is None:
        return
    with contextlib.suppress(ConnectionError):  # the command has ended and reads no more
        while data := await stream.receive():
            process.stdin.write(data)
            await process.stdin.drain()
    process.stdin.close()


async def forward(output: asyncio.StreamReader | None, kind: int, stream: UpgradedStream) -> None:
    """Send what the command writes, in frames that say which of its outputs it comes from."""
    assert output is not None  # noqa: S101 - asyncio's type does not know of PIPE
    while data := await output.read(65536):
        await stream.send(struct.pack(">BxxxI", kind, len(data)) + data)


routes = [
    Route("/_ping", ping, methods=["GET", "HEAD"]),
    Route("/containers/{name}/json", inspect),
    Route("/containers/{name}/exec", create, methods=["POST"]),
    Route("/exec/{id}/json", inspect_session),
]
app = Starlette(routes=[*routes, Mount("/v{version}", routes=routes)])
app.add_middleware(UpgradeMiddleware, protocols={"tcp": attach}, allowed_hosts=LOCALHOST)
