"""listeners.py: sockets are opened as asked, refused with a way out, and cleaned up after."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from barkeep.errors import ListenError
from barkeep.listeners import Listener, open_listeners
from barkeep.settings import Settings


@pytest.fixture
def opened() -> Iterator[list[Listener]]:
    """Listeners a test opens; closed after it."""
    listeners: list[Listener] = []
    yield listeners
    for listener in listeners:
        listener.close()


def listen(opened: list[Listener], *addresses: str, **settings: object) -> Listener:
    """Open the addresses, keep them for the end of the test, give the last."""
    opened += open_listeners(Settings.from_kwargs(bind=list(addresses), **settings))
    return opened[-1]


def test_tcp_listener_is_ready_for_the_engine(opened: list[Listener]) -> None:
    listener = listen(opened, "127.0.0.1:0")
    assert listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    assert listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) != 0
    assert listener.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    assert not listener.socket.getblocking()
    assert not listener.socket.get_inheritable()


def test_url_and_server_port_name_the_port_that_the_kernel_chose(opened: list[Listener]) -> None:
    listener = listen(opened, "127.0.0.1:0")
    port = listener.socket.getsockname()[1]
    assert listener.url == f"http://127.0.0.1:{port}"
    assert (listener.server_name, listener.server_port) == ("127.0.0.1", str(port))


def test_host_given_by_name_is_the_server_name(opened: list[Listener]) -> None:
    assert listen(opened, "localhost:0").server_name == "localhost"


def test_every_interface_has_the_name_of_the_machine(opened: list[Listener]) -> None:
    assert listen(opened, ":0").server_name == socket.gethostname()


def test_ipv6_address_is_bracketed_in_url_and_server_name(opened: list[Listener]) -> None:
    try:
        listener = listen(opened, "[::1]:0")
    except ListenError as error:
        # A machine without IPv6 must say so in our words.
        assert str(error).startswith("cannot listen on [::1]:0: ")  # noqa: PT017
    else:
        assert listener.server_name == "[::1]"
        assert listener.url == f"http://[::1]:{listener.server_port}"


def test_port_in_use_is_told_with_a_way_out(opened: list[Listener]) -> None:
    port = int(listen(opened, "127.0.0.1:0").server_port)
    with pytest.raises(ListenError) as caught:
        listen(opened, f"127.0.0.1:{port}")
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: port {port} is in use. "
        f"Stop the other program, or choose a port with --bind 127.0.0.1:{port % 65535 + 1}."
    )


def test_a_port_of_a_closed_listener_can_be_used_at_once(opened: list[Listener]) -> None:
    port = listen(opened, "127.0.0.1:0").server_port
    with closing(socket.create_connection(("127.0.0.1", int(port)))):
        opened.pop().close()
        assert listen(opened, f"127.0.0.1:{port}").server_port == port


def test_address_of_another_machine_is_told(opened: list[Listener]) -> None:
    with pytest.raises(ListenError, match=r"192\.0\.2\.1 is not an address of this machine\. Use :8000"):
        listen(opened, "192.0.2.1:8000")


@pytest.mark.parametrize("host", ["nowhere.invalid", "x" * 70])
def test_name_that_cannot_be_resolved_is_told(opened: list[Listener], host: str) -> None:
    with pytest.raises(ListenError, match="the name cannot be resolved"):
        listen(opened, f"{host}:8000")


def test_no_permission_for_a_low_port_is_told(
    opened: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(
        ListenError, match=r"no permission for port 80\. Ports below 1024 .* --bind 0\.0\.0\.0:8000"
    ):
        listen(opened, ":80")


def test_one_address_that_fails_closes_those_opened_before_it(site: Path, opened: list[Listener]) -> None:
    with pytest.raises(ListenError):
        listen(opened, "unix:first.sock", "unix:nowhere/second.sock")
    assert not (site / "first.sock").exists()


def test_unix_socket_has_the_mode_of_the_setting_whatever_the_umask(
    site: Path, opened: list[Listener]
) -> None:
    umask = os.umask(0o077)
    try:
        listener = listen(opened, "unix:site.sock", unix_socket_mode="0666")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((site / "site.sock").stat().st_mode) == 0o666
    assert listener.url == "unix:site.sock"
    assert (listener.server_name, listener.server_port) == ("localhost", "80")


def test_closing_removes_the_path_even_from_another_directory(
    site: Path, opened: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = listen(opened, "unix:site.sock")
    monkeypatch.chdir("/")
    listener.close()
    assert not (site / "site.sock").exists()


def test_closing_twice_does_no_harm(site: Path, opened: list[Listener]) -> None:
    listener = listen(opened, "unix:site.sock")
    listener.close()
    (site / "site.sock").write_text("of somebody else")
    listener.close()
    assert (site / "site.sock").exists()


def test_closing_leaves_a_path_that_another_program_took(site: Path, opened: list[Listener]) -> None:
    listener = listen(opened, "unix:site.sock")
    (site / "site.sock").unlink()
    (site / "site.sock").write_text("of somebody else")
    listener.close()
    assert (site / "site.sock").exists()


def test_stale_socket_is_replaced(site: Path, opened: list[Listener]) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind("site.sock")
    stale.close()
    assert listen(opened, "unix:site.sock").url == "unix:site.sock"
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.connect("site.sock")


def test_socket_that_somebody_answers_on_is_left_alone(site: Path, opened: list[Listener]) -> None:
    listen(opened, "unix:site.sock")
    with pytest.raises(ListenError, match="another program listens there"):
        listen(opened, "unix:site.sock")
    assert (site / "site.sock").exists()


def test_full_queue_counts_as_somebody_there(site: Path, opened: list[Listener]) -> None:
    listen(opened, "unix:site.sock", backlog=1)
    clients = [socket.socket(socket.AF_UNIX) for _ in range(8)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex("site.sock")
    with pytest.raises(ListenError, match="another program listens there"):
        listen(opened, "unix:site.sock")
    for client in clients:
        client.close()


def test_file_that_is_no_socket_is_never_removed(site: Path, opened: list[Listener]) -> None:
    (site / "notes.txt").write_text("precious")
    with pytest.raises(ListenError, match="a file that is not a socket is there"):
        listen(opened, "unix:notes.txt")
    assert (site / "notes.txt").read_text() == "precious"


def test_missing_directory_of_a_unix_socket_is_told(site: Path, opened: list[Listener]) -> None:
    with pytest.raises(ListenError, match=r"there is no directory run\. Make it first"):
        listen(opened, "unix:run/site.sock")


def test_descriptor_of_a_listening_socket_is_taken_over(opened: list[Listener]) -> None:
    given = socket.create_server(("127.0.0.1", 0))
    port = given.getsockname()[1]
    listener = listen(opened, f"fd://{given.detach()}")
    assert listener.url == f"http://127.0.0.1:{port}"
    assert not listener.socket.getblocking()
    assert not listener.socket.get_inheritable()


def test_descriptor_that_is_not_open_is_told(opened: list[Listener]) -> None:
    with pytest.raises(ListenError, match="descriptor 9999 is not open"):
        listen(opened, "fd://9999")


def test_descriptor_of_a_file_is_told(opened: list[Listener], tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(ListenError, match="is not a socket"):
        listen(opened, f"fd://{file.fileno()}")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_socket_that_does_not_listen_is_told_and_left_open(
    opened: list[Listener], kind: socket.SocketKind
) -> None:
    with closing(socket.socket(socket.AF_INET, kind)) as given:
        with pytest.raises(ListenError, match="is not a listening stream socket"):
            listen(opened, f"fd://{given.fileno()}")
        os.fstat(given.fileno())


def test_listening_socket_is_taken_over_where_the_system_does_not_tell_that_it_listens(
    opened: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_socket: socket.socket, _level: int, _option: int) -> int:
        raise OSError(errno.ENOPROTOOPT, "Protocol not available")

    given = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(socket.socket, "getsockopt", refuse)
    assert listen(opened, f"fd://{given.detach()}").url.startswith("http://127.0.0.1:")


@pytest.fixture
def inherited(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[dict[str, str], int]]:
    """An environment as systemd makes it, for one socket, and that socket's port."""
    given = socket.create_server(("127.0.0.1", 0))
    port, descriptor = given.getsockname()[1], given.detach()
    monkeypatch.setattr("barkeep.listeners.FIRST_INHERITED_DESCRIPTOR", descriptor)
    yield {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}, port
    try:
        os.close(descriptor)
    except OSError:
        # A listener took it over and has closed it.
        pass


def test_inherited_socket_is_used_when_no_address_is_given(inherited: tuple[dict[str, str], int]) -> None:
    environ, port = inherited
    [listener] = open_listeners(Settings({}), environ)
    with closing(listener):
        assert listener.url == f"http://127.0.0.1:{port}"
    assert environ == {}


def test_given_address_wins_over_an_inherited_socket(inherited: tuple[dict[str, str], int]) -> None:
    environ, port = inherited
    [listener] = open_listeners(Settings({"bind": ("127.0.0.1:0", "command line")}), environ)
    with closing(listener):
        assert listener.server_port != str(port)
    assert environ == {}


@pytest.mark.parametrize("change", [{"LISTEN_PID": "1"}, {"LISTEN_PID": ""}, {"LISTEN_FDS": "x"}])
def test_socket_left_for_another_process_is_not_touched(
    inherited: tuple[dict[str, str], int], change: dict[str, str]
) -> None:
    environ = {**inherited[0], **change}
    before = dict(environ)
    # PORT's origin stands for "nothing given" while the port stays one that is free.
    [listener] = open_listeners(Settings({"bind": ("127.0.0.1:0", "environment PORT")}), environ)
    with closing(listener):
        assert listener.server_port != str(inherited[1])
    assert environ == before


def test_embedding_inherits_nothing(
    inherited: tuple[dict[str, str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ, port = inherited
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    [listener] = open_listeners(Settings({"bind": ("127.0.0.1:0", "environment PORT")}))
    with closing(listener):
        assert listener.server_port != str(port)
