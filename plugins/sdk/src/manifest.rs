//! The text of the section `curb-plugin`, without what is there for people: a third of a schema is blanks.
//!
//! All of it while the plugin is compiled.

/// How many bytes `text`, which is JSON, has without blanks between its tokens.
#[must_use]
pub const fn dense(text: &str) -> usize {
    let (text, mut i, mut len, mut quoted) = (text.as_bytes(), 0, 0, false);
    while i < text.len() {
        (quoted, len) = step(text, i, quoted, len);
        i += 1;
    }
    len
}

/// `text` without them; `N` is [`dense`] of it.
#[must_use]
pub const fn squeeze<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let (text, mut i, mut len, mut quoted) = (text.as_bytes(), 0, 0, false);
    while i < text.len() {
        let before = len;
        (quoted, len) = step(text, i, quoted, len);
        if len > before {
            bytes[before] = text[i];
        }
        i += 1;
    }
    bytes
}

/// Whether it goes on within quotes behind byte `i`, and how many bytes are kept then.
const fn step(text: &[u8], i: usize, quoted: bool, len: usize) -> (bool, usize) {
    let byte = text[i];
    let quote = byte == b'"' && !(quoted && escaped(text, i));
    (quoted != quote, if quoted || !byte.is_ascii_whitespace() { len + 1 } else { len })
}

/// Whether an odd number of backslashes stands before byte `i`.
const fn escaped(text: &[u8], i: usize) -> bool {
    let mut start = i;
    while start > 0 && text[start - 1] == b'\\' {
        start -= 1;
    }
    (i - start) % 2 == 1
}
