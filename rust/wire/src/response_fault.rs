//! Step 6a of 6 - why an answer cannot be sent as the application gave it (PEP 3333; RFC 9110 sections 5 and 7.6.1).

use alloc::vec::Vec;
use core::fmt;

/// A fault in what the application gave to `start_response`. The application is to blame; the peer gets 500.
///
/// Displays as one line for the log that names what is wrong; bytes in it are escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseFault {
    /// The status does not begin with three digits from 100 to 999, followed by nothing or a space.
    StatusMalformed {
        /// The status as given.
        found: Vec<u8>,
    },
    /// The status is 1xx, which never ends an exchange.
    StatusInterim {
        /// The status code.
        code: u16,
    },
    /// The reason has a control byte.
    StatusReasonInvalid {
        /// The status as given.
        found: Vec<u8>,
    },
    /// The field name is empty or has a byte that no name may have.
    FieldNameInvalid {
        /// The name as given.
        name: Vec<u8>,
    },
    /// CR or LF in the value: all after it would be read as another field.
    FieldValueLineBreak {
        /// The name as given.
        name: Vec<u8>,
    },
    /// Another control byte in the value.
    FieldValueControl {
        /// The name as given.
        name: Vec<u8>,
        /// The first such byte.
        byte: u8,
    },
    /// The field concerns the connection, which is the server's.
    HopByHop {
        /// The name as given.
        name: Vec<u8>,
    },
    /// Content-Length is not a decimal number below 2^64.
    ContentLengthInvalid {
        /// The value as given.
        found: Vec<u8>,
    },
    /// Content-Length is given twice.
    ContentLengthRepeated,
}

impl fmt::Display for ResponseFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResponseFault::StatusMalformed { found } => write!(
                formatter,
                "status \"{}\" must be three digits, 200 to 999, then nothing or a space and a reason: \"200 OK\"",
                found.escape_ascii()
            ),
            ResponseFault::StatusInterim { code } => {
                write!(formatter, "status {code} is not a final answer; use 200 to 999")
            }
            ResponseFault::StatusReasonInvalid { found } => {
                write!(formatter, "status \"{}\" has a control character in its reason", found.escape_ascii())
            }
            ResponseFault::FieldNameInvalid { name } => {
                write!(
                    formatter,
                    "header field name \"{}\" is not a token (RFC 9110 5.1)",
                    name.escape_ascii()
                )
            }
            ResponseFault::FieldValueLineBreak { name } => {
                write!(formatter, "header field \"{}\" has a line break in its value", name.escape_ascii())
            }
            ResponseFault::FieldValueControl { name, byte } => write!(
                formatter,
                "header field \"{}\" has the control character \\x{byte:02x} in its value",
                name.escape_ascii()
            ),
            ResponseFault::HopByHop { name } => write!(
                formatter,
                "header field \"{}\" is hop-by-hop and the server's to set (PEP 3333); leave it out",
                name.escape_ascii()
            ),
            ResponseFault::ContentLengthInvalid { found } => write!(
                formatter,
                "header field \"Content-Length\" is \"{}\"; it must be a whole number of bytes",
                found.escape_ascii()
            ),
            ResponseFault::ContentLengthRepeated => {
                formatter.write_str("header field \"Content-Length\" is set twice; set it once")
            }
        }
    }
}

impl core::error::Error for ResponseFault {}
