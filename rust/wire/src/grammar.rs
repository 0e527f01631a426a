//! Step 3 of 6 - which bytes may stand where, and how far a run of them goes (RFC 9110 section 5.6, RFC 3986 section 2).
//!
//! Short runs (names, methods) go byte by byte through a table; long ones (values) eight bytes at a time.

/// A set of bytes as a table: one load per byte, no branches.
pub(crate) struct ByteSet([bool; 256]);

/// Makes the table while compiling, from a `const fn(u8) -> bool`: a const function cannot take one as argument.
macro_rules! byte_set {
    ($rule:expr) => {{
        #[expect(
            clippy::indexing_slicing,
            reason = "evaluated by the compiler: a wrong index does not build"
        )]
        const TABLE: [bool; 256] = {
            let mut table = [false; 256];
            let mut byte = 0;
            while byte < 256 {
                table[byte] = $rule(byte as u8);
                byte += 1;
            }
            table
        };
        ByteSet(TABLE)
    }};
}

impl ByteSet {
    #[inline]
    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).copied().unwrap_or(false)
    }

    /// Length of the run of members that `bytes` begins with.
    #[inline]
    pub(crate) fn run_length(&self, bytes: &[u8]) -> usize {
        bytes.iter().position(|byte| !self.contains(*byte)).unwrap_or(bytes.len())
    }

    #[inline]
    pub(crate) fn contains_all(&self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| self.contains(*byte))
    }
}

/// `tchar`: methods, field names, codings (RFC 9110 section 5.6.2).
pub(crate) static TOKEN: ByteSet = byte_set!(is_token_byte);

/// Bytes of a path that stand for themselves: visible ASCII but "#" (a fragment is never sent), "?" and "%".
/// RFC 3986 allows fewer; browsers send the rest unescaped, and they are harmless to a parser that ends at a space.
pub(crate) static PATH: ByteSet = byte_set!(is_path_byte);

/// Bytes of a query: as a path, and "?" and "%" too.
pub(crate) static QUERY: ByteSet = byte_set!(is_query_byte);

/// `reg-name` but its escapes: unreserved and sub-delims (RFC 3986 section 3.2.2).
pub(crate) static REG_NAME: ByteSet = byte_set!(is_reg_name_byte);

/// Field content: everything but controls, HTAB excepted (RFC 9110 section 5.5; obs-text is allowed).
pub(crate) static FIELD_CONTENT: ByteSet = byte_set!(is_field_content_byte);

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

const fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'#' | b'?' | b'%')
}

const fn is_query_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

const fn is_reg_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~')
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

const fn is_field_content_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

const EACH_BYTE: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = EACH_BYTE * 0x80;

/// Length of the run of field-content bytes that `bytes` begins with: up to the first control but HTAB.
#[inline]
pub(crate) fn field_content_length(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((eight, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        // Per byte: below 0x20, or equal to 0x7f. A borrow can only mark bytes above a marked one, so the lowest
        // mark is exact. HTAB is marked too and looked at by the table below.
        let below_space = word.wrapping_sub(EACH_BYTE * 0x20) & !word;
        let delete = word ^ (EACH_BYTE * 0x7f);
        let is_delete = delete.wrapping_sub(EACH_BYTE) & !delete;
        if (below_space | is_delete) & HIGH_BITS == 0 {
            rest = after;
            continue;
        }
        let run = FIELD_CONTENT.run_length(eight);
        if run < eight.len() {
            return bytes.len() - rest.len() + run;
        }
        rest = after;
    }
    bytes.len() - rest.len() + FIELD_CONTENT.run_length(rest)
}

/// Removes optional whitespace, SP and HTAB only, from the front (RFC 9110 section 5.6.3).
#[inline]
pub(crate) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Removes optional whitespace, SP and HTAB only, from the end.
#[inline]
pub(crate) fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Removes optional whitespace, SP and HTAB only, from both ends.
#[inline]
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    trim_end(trim_start(bytes))
}

/// The elements of a comma-separated list, trimmed; empty ones included (RFC 9110 section 5.6.1).
pub(crate) fn list_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim)
}

/// Reads `1*DIGIT` that fits 64 bits. `None` for anything else: signs, spaces, "0x", "_", too large, empty.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = u64::from(byte.wrapping_sub(b'0'));
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(digit) }
    })
}

/// True when each "%" is followed by two hexadecimal digits (RFC 3986 section 2.1).
pub(crate) fn escapes_are_valid(mut bytes: &[u8]) -> bool {
    while let Some(percent) = memchr::memchr(b'%', bytes) {
        let Some([_, high, low, rest @ ..]) = bytes.get(percent..) else {
            return false;
        };
        if !(high.is_ascii_hexdigit() && low.is_ascii_hexdigit()) {
            return false;
        }
        bytes = rest;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(set: &ByteSet) -> usize {
        (0..=255).filter(|byte| set.contains(*byte)).count()
    }

    #[test]
    fn the_tables_have_as_many_members_as_the_grammar() {
        // 10 digits and 52 letters, with 15 marks in a token and 4 + 11 in a reg-name.
        assert_eq!(members(&TOKEN), 77);
        assert_eq!(members(&REG_NAME), 77);
        assert_eq!(members(&QUERY), 94 - 1);
        assert_eq!(members(&PATH), 94 - 3);
        assert_eq!(members(&FIELD_CONTENT), 256 - 31 - 1);
    }

    #[test]
    fn eight_bytes_at_a_time_finds_what_one_at_a_time_finds() {
        for byte in 0..=255 {
            for before in 0..20 {
                for filler in [b' ', b'~', 0x80, 0xff, b'\t'] {
                    let mut bytes = vec![filler; before];
                    bytes.push(byte);
                    bytes.extend_from_slice(&[filler; 9]);
                    assert_eq!(field_content_length(&bytes), FIELD_CONTENT.run_length(&bytes), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn decimal_takes_digits_that_fit_64_bits_and_nothing_else() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"007"), Some(7));
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for refused in ["", "18446744073709551616", "+1", "-1", " 1", "1 ", "1_0", "0x1", "1.0", "\u{661}"] {
            assert_eq!(decimal(refused.as_bytes()), None, "{refused:?}");
        }
    }

    #[test]
    fn only_space_and_tab_are_trimmed() {
        assert_eq!(trim(b" \t a b \t"), b"a b");
        assert_eq!(trim(b"\x0b\xa0a\x0c"), b"\x0b\xa0a\x0c");
        assert_eq!(trim(b" \t "), b"");
    }
}
