//! Step 3 of 6 - is this a host, with or without a port? For Host and absolute targets (RFC 3986 section 3.2, RFC 9110 section 7.2).

use core::net::Ipv6Addr;

use crate::grammar::{REG_NAME, decimal, escapes_are_valid};

/// True for `host [ ":" port ]`. User information is refused with everything else that is not a host.
/// An empty host is the caller's to allow.
pub(crate) fn is_host_and_port(authority: &[u8]) -> bool {
    match authority {
        [b'[', rest @ ..] => {
            memchr::memchr(b']', rest).and_then(|close| rest.split_at_checked(close)).is_some_and(
                |(literal, after)| is_ip_literal(literal) && is_port_suffix(after.get(1..).unwrap_or(b"")),
            )
        }
        _ => {
            let colon = memchr::memchr(b':', authority).unwrap_or(authority.len());
            authority
                .split_at_checked(colon)
                .is_some_and(|(name, port)| is_reg_name(name) && is_port_suffix(port))
        }
    }
}

/// Nothing, ":" alone (the grammar is `*DIGIT`), or ":" and a number that a port can be.
fn is_port_suffix(suffix: &[u8]) -> bool {
    match suffix {
        [] | [b':'] => true,
        [b':', digits @ ..] => decimal(digits).is_some_and(|port| port <= u64::from(u16::MAX)),
        _ => false,
    }
}

fn is_reg_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| *byte == b'%' || REG_NAME.contains(*byte))
        && escapes_are_valid(name)
}

/// IPv6address or IPvFuture. Zone identifiers are refused: they mean nothing to another machine.
fn is_ip_literal(literal: &[u8]) -> bool {
    if let [b'v' | b'V', future @ ..] = literal {
        let Some(dot) = memchr::memchr(b'.', future) else {
            return false;
        };
        let Some((version, address)) = future.split_at_checked(dot) else {
            return false;
        };
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && address.len() > 1
            && address.iter().all(|byte| *byte == b':' || REG_NAME.contains(*byte));
    }
    str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}
