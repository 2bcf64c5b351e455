"""An SFTP server over a folder, for one user, as far as reading needs it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

USER, PASSWORD = "feeds", "of this test alone"


class _Door(paramiko.ServerInterface):
    """Lets the one user in."""

    def check_auth_password(self, username: str, password: str) -> int:
        good = (username, password) == (USER, PASSWORD)
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED


class _Files(paramiko.SFTPServerInterface):
    """Lists, tells of and opens the files below a folder."""

    root: Path

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        here = self.root / path.lstrip("/")
        try:
            return [paramiko.SFTPAttributes.from_stat(one.stat(), one.name) for one in here.iterdir()]
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        try:
            return paramiko.SFTPAttributes.from_stat((self.root / path.lstrip("/")).stat())
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)

    lstat = stat

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
        handle = paramiko.SFTPHandle(os.O_RDONLY)
        try:
            handle.readfile = (self.root / path.lstrip("/")).open("rb")  # type: ignore[attr-defined]
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)
        return handle


@contextmanager
def serving(root: Path) -> Iterator[int]:
    """Serves a folder until the block is left; yields the port."""
    key = paramiko.RSAKey.generate(2048)
    files = type("_Rooted", (_Files,), {"root": root})
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        held: list[paramiko.Transport] = []

        def answer() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                transport = paramiko.Transport(caller)
                transport.add_server_key(key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, files)
                transport.start_server(server=_Door())
                held.append(transport)

        threading.Thread(target=answer, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        for transport in held:
            transport.close()
