"""Rules of the test run itself: which sockets may be used, which tests may be skipped.

Knows no product code.
"""

from __future__ import annotations

import ipaddress
import sys

NO_SHARED_DATA = "shared data absent"  # the only skip allowed under KEEL_CI=1


class OutsideSocket(RuntimeError):
    """A test tried to reach another host than this one."""


class LoopbackOnly:
    """An audit hook that refuses every host but this one, also below libraries.

    `attempts` keeps what was refused: code under test that swallows the error still fails.
    """

    def __init__(self) -> None:
        self.attempts: list[str] = []

    def install(self) -> None:
        """Watch from now on; an audit hook cannot be taken off again."""
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[object, ...]) -> None:
        if event in ("socket.connect", "socket.sendto"):
            address = args[1]
            host = address[0] if isinstance(address, tuple) else None  # str or bytes: AF_UNIX
        elif event == "socket.getaddrinfo":
            host = args[0]
        else:
            return
        if host is not None and not is_local(host):
            self.attempts.append(f"{event} {host!r}")
            raise OutsideSocket(f"tests may use loopback only, not {host!r} ({event})")


def is_local(host: object) -> bool:
    """Whether a host name or address stays on this machine."""
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name in ("", "localhost", "0.0.0.0", "::"):  # the last two: where a server binds
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


def forbidden_skips(reasons: dict[str, str]) -> list[str]:
    """Lines for the skips that continuous integration does not allow, by test id."""
    return [
        f"{test}: {reason}"
        for test, reason in sorted(reasons.items())
        if NO_SHARED_DATA not in reason
    ]
