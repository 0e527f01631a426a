//! Step 3c of 6 - the line before a chunk: its size and its extensions (RFC 9112 section 7.1).

use crate::error::Refusal;
use crate::grammar::{FIELD_CONTENT, TOKEN, trim_start};
use crate::limits::Limits;

/// Reads `chunk-size [ chunk-ext ]`, the CRLF already taken off, and answers the size in bytes.
///
/// Whitespace after the size counts only before ";", where RFC 9112 section 7.1.1 makes a reader accept it.
/// Extensions are checked and dropped: none has a meaning here.
pub(crate) fn read_chunk_line(line: &[u8]) -> Result<u64, Refusal> {
    let digit_count = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    if digit_count == 0 || digit_count > Limits::CHUNK_SIZE_DIGITS {
        return Err(Refusal::ChunkSizeInvalid);
    }
    let (digits, extensions) = line.split_at_checked(digit_count).unwrap_or((line, b""));
    match trim_start(extensions) {
        [] if extensions.is_empty() => {}
        [b';', ..] => check_extensions(extensions)?,
        _ => return Err(Refusal::ChunkSizeInvalid),
    }
    Ok(digits.iter().fold(0, |size, digit| (size << 4) | u64::from(hexadecimal_value(*digit))))
}

/// `digit`: a hexadecimal digit.
fn hexadecimal_value(digit: u8) -> u8 {
    // "0" is 0x30, "A" 0x41 and "a" 0x61: the low four bits, and 9 more for letters.
    (digit & 0x0f) + 9 * (digit >> 6)
}

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`, whole.
fn check_extensions(mut rest: &[u8]) -> Result<(), Refusal> {
    while !rest.is_empty() {
        let [b';', after @ ..] = trim_start(rest) else {
            return Err(Refusal::ChunkExtensionInvalid);
        };
        rest = skip_token(trim_start(after))?;
        if let [b'=', after @ ..] = trim_start(rest) {
            rest = match trim_start(after) {
                [b'"', quoted @ ..] => skip_quoted(quoted)?,
                value => skip_token(value)?,
            };
        }
    }
    Ok(())
}

/// What follows the token that `bytes` must begin with.
fn skip_token(bytes: &[u8]) -> Result<&[u8], Refusal> {
    match TOKEN.run_length(bytes) {
        0 => Err(Refusal::ChunkExtensionInvalid),
        length => Ok(bytes.get(length..).unwrap_or(b"")),
    }
}

/// What follows the closing quote. `bytes`: behind the opening one (RFC 9110 section 5.6.4).
fn skip_quoted(mut bytes: &[u8]) -> Result<&[u8], Refusal> {
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] => return Ok(rest),
            [b'\\', escaped, rest @ ..] if FIELD_CONTENT.contains(*escaped) => rest,
            [b'\\', ..] => return Err(Refusal::ChunkExtensionInvalid),
            [byte, rest @ ..] if FIELD_CONTENT.contains(*byte) => rest,
            _ => return Err(Refusal::ChunkExtensionInvalid),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_the_standard_library_reads_hexadecimal() {
        for text in ["0", "9", "a", "F", "10", "fFfF", "0123456789abcdef", "FFFFFFFFFFFFFFFF"] {
            let expected = u64::from_str_radix(text, 16).unwrap();
            assert_eq!(read_chunk_line(text.as_bytes()), Ok(expected));
        }
    }

    #[test]
    fn an_extension_does_not_change_the_size() {
        assert_eq!(read_chunk_line(b"1f ; a = \"b;\\\"\" ;c"), Ok(31));
    }
}
