"""Step 1 of 6 - open the listeners (TCP, unix, inherited) and own them until they are handed over."""

from __future__ import annotations

import errno
import os
import socket
import stat

from .addresses import Address, FdAddress, TcpAddress, UnixAddress
from .errors import ListenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from .settings import Settings

# The first descriptor systemd passes (sd_listen_fds(3)).
FIRST_INHERITED_DESCRIPTOR = 3
INHERITANCE_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")

WILDCARD_HOSTS = ("0.0.0.0", "::")

# PEP 3333 wants SERVER_NAME and SERVER_PORT never empty; a unix socket has neither.
UNIX_SERVER_NAME = "localhost"
UNIX_SERVER_PORT = "80"


class Listener:
    """One open server socket: listening, non-blocking, close-on-exec. Whoever holds it closes it.

    url: for people and logs, as http://127.0.0.1:8000 or unix:/run/site.sock.
    server_name, server_port: SERVER_NAME and SERVER_PORT of every request that comes in here (PEP 3333).
    """

    __slots__ = (
        "_is_lent",
        "_made_path",
        "_made_path_id",
        "address",
        "is_health",
        "server_name",
        "server_port",
        "socket",
        "url",
    )

    def __init__(self, opened: socket.socket, host_as_typed: str = "", made_path: str = "") -> None:
        """host_as_typed: better than the number it stands for. made_path: a unix path this process bound."""
        self.socket = opened
        # What it was opened for, as it was typed; a reload finds it again by this.
        self.address = ""
        # Answers /livez and /readyz, and nothing else.
        self.is_health = False
        self._made_path = os.path.abspath(made_path) if made_path else ""
        self._made_path_id = _file_id(self._made_path) if made_path else None
        # Another program, that has the same socket, looks after the path.
        self._is_lent = False
        if opened.family == socket.AF_UNIX:
            self.url = f"unix:{_text_of_unix_name(opened.getsockname())}"
            self.server_name, self.server_port = UNIX_SERVER_NAME, UNIX_SERVER_PORT
            return
        host, port = opened.getsockname()[:2]
        # RFC 3875 4.1.14 and RFC 3986 3.2.2 both bracket IPv6 addresses.
        written_host = f"[{host}]" if ":" in host else host
        self.url = f"http://{written_host}:{port}"
        is_name = bool(host_as_typed) and ":" not in host_as_typed
        self.server_name = socket.gethostname() if host in WILDCARD_HOSTS else written_host
        if is_name and host not in WILDCARD_HOSTS:
            self.server_name = host_as_typed
        self.server_port = str(port)

    def __repr__(self) -> str:
        return f"<Listener {self.url}>"

    def for_engine(self) -> tuple[int, str, str]:
        """As the engine takes it: descriptor, SERVER_NAME, SERVER_PORT."""
        return self.socket.fileno(), self.server_name, self.server_port

    @classmethod
    def inherit(
        cls, descriptor: int, address: str, server_name: str, made_path: str, is_health: bool
    ) -> Listener:
        """The listener that `bequeath` told of, in another program that has its descriptor.

        Until `own` is called its path stays the other program's, which goes on should this one fail.
        """
        opened = socket.socket(fileno=descriptor)
        opened.setblocking(False)
        opened.set_inheritable(False)
        listener = cls(opened, made_path=made_path)
        listener.address, listener.server_name, listener.is_health = address, server_name, is_health
        listener._is_lent = True
        return listener

    def own(self) -> None:
        """The program that has bequeathed it has let go; one that was closed meanwhile loses its path now."""
        self._is_lent = False
        if self.socket.fileno() < 0:
            self.close()

    def bequeath(self) -> tuple[int, str, str, str, bool]:
        """What another program needs to go on with it; then `disown` here."""
        return self.socket.fileno(), self.address, self.server_name, self._made_path, self.is_health

    def disown(self) -> None:
        """Leave the unix path to another process: closing no longer removes it."""
        self._made_path = ""

    def close(self) -> None:
        """Close the socket and remove the unix path, unless another program has put its own there since."""
        if not self._is_lent:
            self._remove_path()
        self.socket.close()

    def _remove_path(self) -> None:
        if self._made_path and _file_id(self._made_path) == self._made_path_id:
            try:
                os.unlink(self._made_path)
            except OSError:
                # Lost a race for the path, or for the directory: the next start finds it stale.
                pass
        self._made_path = ""


def open_listeners(
    settings: Settings,
    environ: MutableMapping[str, str] | None = None,
    keep: Sequence[Listener] = (),
) -> list[Listener]:
    """Open every address of `bind`, or take over what systemd left when none was given; and of `health_bind`.

    environ: where LISTEN_FDS is looked for and removed from, so that children do not take it for theirs;
    None (embedding) inherits nothing. keep: open ones, used again for the address they have; without a `bind`
    that was given, all of them. The caller owns the listeners.
    Raises ListenError, one line, with everything that this call opened closed again.
    """
    addresses: tuple[Address, ...] = settings.bind
    kept = {(listener.address, listener.is_health): listener for listener in keep}
    listeners = [listener for listener in keep if not (settings.bind_was_given or listener.is_health)]
    if listeners:
        addresses = ()
    if environ is not None:
        inherited = _take_inherited(environ)
        if inherited and not settings.bind_was_given:
            addresses = inherited
    wanted = [(address, False) for address in addresses]
    wanted += [(address, True) for address in settings.health_bind]
    try:
        for address, is_health in wanted:
            listener = kept.get((str(address), is_health))
            if listener is None:
                listener = open_listener(address, settings.backlog, settings.unix_socket_mode)
                listener.is_health = is_health
            listeners.append(listener)
    except BaseException:
        for listener in listeners:
            if listener not in keep:
                listener.close()
        raise
    return listeners


def open_listener(address: Address, backlog: int, unix_socket_mode: int) -> Listener:
    """Bind and listen on one address.

    backlog: connections the kernel may queue; more than the system limit is cut silently.
    The caller owns the listener. Raises ListenError; the message names the address and a way out.
    """
    if isinstance(address, FdAddress):
        listener = _adopt_descriptor(address)
    elif isinstance(address, UnixAddress):
        listener = _open_unix(address, backlog, unix_socket_mode)
    else:
        listener = _open_tcp(address, backlog)
    listener.address = str(address)
    return listener


def _open_tcp(address: TcpAddress, backlog: int) -> Listener:
    family, socket_address = _resolve(address)
    try:
        opened = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {error.strerror}.") from None
    try:
        # A restart must not wait for connections of the last run to leave TIME_WAIT.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it on Linux: one system call for all of them, and no 40 ms stalls.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            # [::] would otherwise take IPv4 too, or not, as the system is set up.
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(socket_address)
        _start_listening(opened, backlog)
    except OSError as error:
        opened.close()
        raise ListenError(_why_tcp_failed(address, error)) from None
    return Listener(opened, host_as_typed=address.host)


def _resolve(address: TcpAddress) -> tuple[int, tuple[object, ...]]:
    """The socket family and address of a host; of a name with both, IPv4, which every container has."""
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise ListenError(
            f"cannot listen on {address}: the name cannot be resolved ({reason}). "
            "Use an address of this machine, such as 127.0.0.1."
        ) from None
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    family, _type, _protocol, _name, socket_address = found[0]
    return family, socket_address


def _why_tcp_failed(address: TcpAddress, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        free_port = address.port % 65535 + 1
        example = TcpAddress(address.host, free_port)
        return (
            f"cannot listen on {address}: port {address.port} is in use. "
            f"Stop the other program, or choose a port with --bind {example}."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"cannot listen on {address}: no permission for port {address.port}. "
            f"Ports below 1024 need privileges; use one above, as --bind {TcpAddress(address.host, 8000)}."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"cannot listen on {address}: {address.host} is not an address of this machine. "
            f"Use :{address.port} for every interface."
        )
    return f"cannot listen on {address}: {error.strerror}."


def _open_unix(address: UnixAddress, backlog: int, mode: int) -> Listener:
    _remove_stale_socket(address)
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # On Linux the path takes its permissions from the socket, so it never exists with wider ones.
        try:
            os.fchmod(opened.fileno(), mode)
        except OSError:
            # macOS has no modes on sockets; the chmod below is all there is.
            pass
        opened.bind(address.path)
        # The umask took bits away; the setting says what they are, whatever the umask.
        os.chmod(address.path, mode)
        _start_listening(opened, backlog)
    except OSError as error:
        # A path bound before this is stale now, and the next start removes it.
        opened.close()
        raise ListenError(_why_unix_failed(address, error)) from None
    return Listener(opened, made_path=address.path)


def _why_unix_failed(address: UnixAddress, error: OSError) -> str:
    directory = os.path.dirname(address.path) or "."
    if error.errno == errno.ENOENT:
        return f"cannot listen on {address}: there is no directory {directory}. Make it first."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"cannot listen on {address}: no permission to write in {directory}. Choose another directory."
    # Some errors about the path come from Python, without a number.
    return f"cannot listen on {address}: {error.strerror or error}."


def _remove_stale_socket(address: UnixAddress) -> None:
    """Remove a socket that nobody answers on. Raises ListenError when somebody does, or it is no socket."""
    try:
        status = os.lstat(address.path)
    except OSError:
        # Not there, or out of reach: bind says which.
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise ListenError(
            f"cannot listen on {address}: a file that is not a socket is there. Choose another path."
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # Never waits: a full queue (EAGAIN) means that somebody is there.
        probe.setblocking(False)
        answer = probe.connect_ex(address.path)
    if answer == errno.ENOENT:
        return
    if answer != errno.ECONNREFUSED:
        reason = "another program listens there"
        if answer == errno.EACCES:
            reason = "no permission for the socket there"
        raise ListenError(f"cannot listen on {address}: {reason}. Stop it, or choose another path.")
    try:
        os.unlink(address.path)
    except OSError as error:
        raise ListenError(
            f"cannot listen on {address}: a stale socket is there and cannot be removed ({error.strerror})."
        ) from None


def _adopt_descriptor(address: FdAddress) -> Listener:
    """Take over an inherited descriptor after checking that it is what we need."""
    try:
        is_socket = stat.S_ISSOCK(os.fstat(address.descriptor).st_mode)
    except (OSError, OverflowError):
        raise ListenError(
            f"cannot listen on {address}: descriptor {address.descriptor} is not open."
        ) from None
    if not is_socket:
        raise ListenError(f"cannot listen on {address}: descriptor {address.descriptor} is not a socket.")
    adopted = socket.socket(fileno=address.descriptor)
    families = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
    is_stream = adopted.family in families and adopted.type == socket.SOCK_STREAM
    if not is_stream or not _is_listening(adopted):
        # Not ours to close: whoever opened it may be using it.
        adopted.detach()
        raise ListenError(
            f"cannot listen on {address}: descriptor {address.descriptor} is not a listening stream socket."
        )
    adopted.setblocking(False)
    adopted.set_inheritable(False)
    if adopted.family != socket.AF_UNIX:
        adopted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Listener(adopted)


def _is_listening(adopted: socket.socket) -> bool:
    """Whether connections can come in; True where the system does not tell."""
    try:
        return bool(adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError as error:
        # macOS names the option and does not have it.
        if error.errno == errno.ENOPROTOOPT:
            return True
        raise


def _take_inherited(environ: MutableMapping[str, str]) -> tuple[FdAddress, ...]:
    """The descriptors systemd left for this very process (sd_listen_fds(3)); forgets them in environ."""
    pid, count = environ.get("LISTEN_PID", ""), environ.get("LISTEN_FDS", "")
    if pid != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return ()
    for variable in INHERITANCE_VARIABLES:
        environ.pop(variable, None)
    return tuple(FdAddress(FIRST_INHERITED_DESCRIPTOR + offset) for offset in range(min(int(count), 1024)))


def _start_listening(opened: socket.socket, backlog: int) -> None:
    opened.listen(backlog)
    opened.setblocking(False)


def _file_id(file: str) -> tuple[int, int, int] | None:
    """Which file a path names now, as (device, inode, change time in ns); None when there is none."""
    try:
        status = os.lstat(file)
    except OSError:
        return None
    # ext4 gives a new file the inode of the one just removed, so the inode alone is no proof.
    return status.st_dev, status.st_ino, status.st_ctime_ns


def _text_of_unix_name(name: str | bytes) -> str:
    # An inherited socket in Linux's abstract namespace has a name of bytes that begins with NUL.
    return "@" + name[1:].decode("utf-8", "replace") if isinstance(name, bytes) else name
