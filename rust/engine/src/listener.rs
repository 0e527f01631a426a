//! Step 1 of 6 - accepting connections from the sockets that `listeners.py` opened.

use crate::connection::Peer;
use crate::transport::Transport;
use rustix::fd::OwnedFd;
use rustix::io::{self, Errno};
use rustix::net::{self, SocketAddrAny};

/// One listening socket. Python has given its descriptor away: the engine closes it.
pub struct Listener {
    pub socket: OwnedFd,
}

/// What came of one attempt to accept.
pub enum Accepted {
    Connection(Transport, Peer),
    /// The queue is empty.
    Nobody,
    /// Descriptors or memory ran out: wait for some to be freed.
    NoRoom(Errno),
    /// This one connection failed before it was accepted: try the next.
    Failed,
}

impl Listener {
    /// Takes the next connection from the queue, non-blocking. TCP_NODELAY is inherited from the listener.
    pub fn accept(&self) -> Accepted {
        match accept(&self.socket) {
            Ok((socket, address)) => Accepted::Connection(Transport::Plain(socket), peer(address)),
            Err(Errno::AGAIN) => Accepted::Nobody,
            Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                Accepted::NoRoom(error)
            }
            Err(_) => Accepted::Failed,
        }
    }
}

#[cfg(not(target_vendor = "apple"))]
fn accept(socket: &OwnedFd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    net::acceptfrom_with(socket, net::SocketFlags::NONBLOCK | net::SocketFlags::CLOEXEC)
}

#[cfg(target_vendor = "apple")]
fn accept(socket: &OwnedFd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    let (accepted, address) = net::acceptfrom(socket)?;
    io::ioctl_fionbio(&accepted, true)?;
    io::fcntl_setfd(&accepted, io::FdFlags::CLOEXEC)?;
    net::sockopt::set_socket_nosigpipe(&accepted, true)?;
    Ok((accepted, address))
}

fn peer(address: Option<SocketAddrAny>) -> Peer {
    let ip = address.and_then(|address| std::net::SocketAddr::try_from(address).ok());
    match ip {
        Some(ip) => Peer { address: ip.ip().to_canonical().to_string().into(), port: Some(ip.port()) },
        None => Peer { address: Box::default(), port: None },
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) if self.address.contains(':') => write!(out, "[{}]:{port}", self.address),
            Some(port) => write!(out, "{}:{port}", self.address),
            None => out.write_str("unix"),
        }
    }
}
