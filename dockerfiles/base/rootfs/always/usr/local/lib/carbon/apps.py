"""The ports of the user's own programs: what the user's machine sends to a published one goes on to the
program.

Programs listen on the loopback and print its address: http://127.0.0.1:7860. Docker cannot hand connections
to a container's loopback. So the document lists, as `appPorts`, ports that Docker publishes on the user's
machine (`published`) and hands to other ones here (`forward`). Connections go on to 127.0.0.1 or ::1, to
the port that the user's machine has or, where a port offset makes that another and nothing listens there,
to `port`: as they are, byte by byte, for as long as either side has something to say.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

SERVICES = Path("/run/carbon/services.json")
"""What runs in the stack, where somebody deployed one."""
CHUNK = 256 * 1024
"""Bytes that are passed on at a time."""
PATIENCE = 10
"""Seconds for a client to say what it wants, where there is no program to ask."""
BACKLOG = 1024
"""Connections that may wait to be taken."""
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HTTP_REQUEST = re.compile(rb"[A-Z]{3,16} [^ \r\n]+ HTTP/1\.[01]\r\n")


@dataclass(frozen=True)
class AppPort:
    """A port of the user's own programs, as the document has it."""

    port: int
    published: int
    forward: int

    @property
    def targets(self) -> list[int]:
        """Where a program may listen, first choice first."""
        return list(dict.fromkeys((self.published, self.port)))


@dataclass(frozen=True)
class Connection:
    """Both halves of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def keep_alive(self) -> None:
        """Has the kernel find out when the other side has gone without a word."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def is_to_itself(self) -> bool:
        """Whether it met itself: the kernel may give a client the very port that it asks for."""
        return self.writer.get_extra_info("sockname") == self.writer.get_extra_info("peername")


class Forwarder:
    """Listens on the ports that Docker hands connections to."""

    def __init__(self, apps: list[AppPort]) -> None:
        """`apps`: the ports, each with the one to listen on."""
        self.apps = apps
        self.own = {app.forward for app in apps}
        # The event loop holds tasks weakly: while a client that has said all waits, nothing else holds its own.
        self.running: set[object] = set()

    async def serve(self) -> None:
        """Runs for ever."""
        async with asyncio.TaskGroup() as group:
            for app in self.apps:
                handler = self.handler(app)
                server = await asyncio.start_server(
                    handler, "0.0.0.0", app.forward, backlog=BACKLOG, limit=CHUNK
                )
                group.create_task(server.serve_forever())

    def handler(self, app: AppPort) -> Handler:
        """What is done with a connection to one of them."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            client = Connection(reader, writer)
            task = asyncio.current_task()
            self.running.add(task)
            try:
                program = await self.reach(app)
                await (relay(client, program) if program else say_nobody(client, app))
            except (OSError, TimeoutError):
                # Either side is free to hang up at any time.
                writer.transport.abort()
            finally:
                self.running.discard(task)

        return handle

    async def reach(self, app: AppPort) -> Connection | None:
        """A connection to the program, or None where nothing listens."""
        for port in app.targets:
            for host in ("127.0.0.1", "::1"):
                # To one of its own ports it would go round in circles.
                if port in self.own:
                    continue
                try:
                    found = Connection(*await asyncio.open_connection(host, port, limit=CHUNK))
                except OSError:
                    continue
                if not found.is_to_itself():
                    return found
                found.writer.transport.abort()
        return None


async def relay(client: Connection, program: Connection) -> None:
    """Passes on what either side says, and that it has finished, until both have."""
    both = (client, program)
    try:
        for side in both:
            side.keep_alive()
        async with asyncio.TaskGroup() as group:
            group.create_task(pass_on(client.reader, program.writer))
            group.create_task(pass_on(program.reader, client.writer))
    except* OSError:
        for side in both:
            side.writer.transport.abort()
    finally:
        for side in both:
            side.writer.close()


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes on one direction, up to its end, no faster than it is taken."""
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


async def say_nobody(client: Connection, app: AppPort) -> None:
    """Tells a client that speaks HTTP why there is nothing, and hangs up."""
    try:
        request = await asyncio.wait_for(client.reader.read(CHUNK), PATIENCE)
        if HTTP_REQUEST.match(request):
            ports = " or ".join(map(str, app.targets))
            text = f"502 Bad Gateway: nothing listens on port {ports} in the workspace.\n"
            head = (
                "HTTP/1.1 502 Bad Gateway\r\n"
                "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
                f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
            )
            client.writer.write((head if request.startswith(b"HEAD ") else head + text).encode())
            client.writer.write_eof()
            # Hanging up on what it still sends would reset the connection, and lose the answer.
            async with asyncio.timeout(PATIENCE):
                while await client.reader.read(CHUNK):
                    pass
    finally:
        client.writer.close()


def app_ports() -> list[AppPort]:
    """Those of the document."""
    document = json.loads(SERVICES.read_text(encoding="utf-8"))
    return [AppPort(app["port"], app["published"], app["forward"]) for app in document["appPorts"]]


if __name__ == "__main__":
    try:
        asyncio.run(Forwarder(app_ports()).serve())
    except OSError as error:
        sys.exit(f"the ports of the user's programs cannot be served: {error}")
