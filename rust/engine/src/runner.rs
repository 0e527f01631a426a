//! Step 5 of 6 - one application thread as others see it: which exchange it runs, what was raised in it, whether it was
//! given up.
//!
//! Every time the thread comes back to the queue its serial grows. Whoever wants something of an exchange says the
//! serial, so that nothing ever hits the exchange after it.

use crate::lock;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::c_long;
use std::num::NonZeroU32;
use std::sync::Mutex;

/// One application thread.
pub struct Runner {
    /// Counts the threads of one engine, from 1.
    pub number: NonZeroU32,
    /// As `threading.get_ident` has it.
    pub ident: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Grows whenever the thread comes back.
    serial: u64,
    /// An exception waits in the thread, or was raised in it, for this serial.
    has_raised: bool,
    /// Another thread has taken its place: it ends when it comes back.
    is_quarantined: bool,
}

impl Runner {
    pub fn new(number: NonZeroU32, ident: u64) -> Runner {
        Runner { number, ident, state: Mutex::default() }
    }

    /// The thread itself is back from the application: what still waits to be raised in it is forgotten. Returns the
    /// serial of the exchange that it takes next, or None when it is to end.
    pub fn come_back(&self, _py: Python<'_>) -> Option<u64> {
        let mut state = lock(&self.state);
        if std::mem::take(&mut state.has_raised) {
            set_async_exception(self.ident, None);
        }
        state.serial += 1;
        (!state.is_quarantined).then_some(state.serial)
    }

    /// Whether the thread still runs that exchange.
    pub fn runs(&self, serial: u64) -> bool {
        lock(&self.state).serial == serial
    }

    /// Lets the thread's next instruction of Python raise this exception if it still runs that exchange. Once for an
    /// exchange.
    pub fn raise(&self, serial: u64, exception: &Bound<'_, PyType>) -> bool {
        let mut state = lock(&self.state);
        if state.serial != serial || state.has_raised {
            return false;
        }
        state.has_raised = set_async_exception(self.ident, Some(exception));
        state.has_raised
    }

    /// Gives the thread up if it still runs that exchange.
    pub fn quarantine(&self, serial: u64) -> bool {
        let mut state = lock(&self.state);
        let is_new = state.serial == serial && !state.is_quarantined;
        state.is_quarantined |= is_new;
        is_new
    }

    pub fn is_quarantined(&self) -> bool {
        lock(&self.state).is_quarantined
    }
}

/// None: forget what waits. False when there is no such thread.
fn set_async_exception(ident: u64, exception: Option<&Bound<'_, PyType>>) -> bool {
    let exception = exception.map_or(std::ptr::null_mut(), |exception| exception.as_ptr());
    // The declaration has a signed number where CPython has had an unsigned one since 3.7; the bits are the same.
    let ident = ident as c_long;
    // SAFETY: the thread is attached to the interpreter: `come_back` has a token for that, and `raise` a bound type.
    // The pointer is null or a live class, of which CPython takes a reference of its own.
    unsafe { pyo3::ffi::PyThreadState_SetAsyncExc(ident, exception) > 0 }
}
