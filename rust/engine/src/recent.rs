//! Step 4 of 6 - texts of earlier requests, for later ones that say the same: a site has one Host and browsers that accept
//! the same, and a connection that stays open has one peer.
//!
//! A text costs Python an allocation and two walks over its bytes, a comparison a tenth of that. Bounded: one text for
//! each usual field, and a fixed number of peers. Each application thread has its own.

use crate::connection::Connection;
use crate::texts::latin1;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Longer values are not kept.
const LONGEST_BYTES: usize = 256;

/// Connections whose peer is kept.
const PEERS: usize = 64;

/// What one application thread has seen last.
#[derive(Default)]
pub struct Recent {
    values: Vec<Value>,
    peers: Vec<Option<KeptPeer>>,
}

#[derive(Default)]
struct Value {
    bytes: Vec<u8>,
    text: Option<Py<PyString>>,
}

struct KeptPeer {
    /// Of its connection.
    token: u64,
    address: Py<PyString>,
    port: Option<Py<PyString>>,
}

/// REMOTE_ADDR and REMOTE_PORT.
pub struct PeerTexts<'py> {
    pub address: Bound<'py, PyString>,
    /// None for a unix socket.
    pub port: Option<Bound<'py, PyString>>,
}

impl Recent {
    /// The text of these bytes. field: the number of the usual field whose value they are.
    pub fn value<'py>(&mut self, py: Python<'py>, field: usize, bytes: &[u8]) -> Bound<'py, PyString> {
        if self.values.len() <= field {
            self.values.resize_with(field + 1, Value::default);
        }
        let Some(value) = self.values.get_mut(field) else { return latin1(py, bytes) };
        if value.bytes == bytes
            && let Some(text) = &value.text
        {
            return text.bind(py).clone();
        }
        let text = latin1(py, bytes);
        if bytes.len() <= LONGEST_BYTES {
            value.bytes.clear();
            value.bytes.extend_from_slice(bytes);
            value.text = Some(text.clone().unbind());
        }
        text
    }

    /// The texts of a connection's peer.
    pub fn peer<'py>(&mut self, py: Python<'py>, connection: &Connection) -> PeerTexts<'py> {
        if self.peers.is_empty() {
            self.peers.resize_with(PEERS, || None);
        }
        let token = connection.token;
        let place = self.peers.get_mut(token as usize % PEERS);
        if let Some(Some(kept)) = &place
            && kept.token == token
        {
            let port = kept.port.as_ref().map(|port| port.bind(py).clone());
            return PeerTexts { address: kept.address.bind(py).clone(), port };
        }
        let peer = &connection.peer;
        let address = PyString::new(py, &peer.address);
        let port = peer.port.map(|port| PyString::new(py, itoa::Buffer::new().format(port)));
        if let Some(place) = place {
            let (address, port) = (address.clone().unbind(), port.clone().map(Bound::unbind));
            *place = Some(KeptPeer { token, address, port });
        }
        PeerTexts { address, port }
    }
}
