//! A component without what only its author needs: names of functions, and where in the source they stand. Its code stays the same to
//! the last byte, so that a place in one is the same place in the other. Pure.
//!
//! ```text
//! module, component:  magic "\0asm", version, layer ; section*
//! section:            id: u8, size: LEB128, bytes ; id 0 is a custom section and begins with its name: size in LEB128, UTF-8
//! component:          section 1 holds a module, section 4 a component
//! ```

use crate::anatomy::is_debug;

/// Magic, version and layer.
const HEADER: usize = 8;

/// The layer of a component, behind the magic.
const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];

/// Components within components: those of plugins have one level. Recursion must end before the stack does.
const DEPTH: u32 = 16;

/// The same component without names and debug information; `None` if the bytes are none.
#[must_use]
pub fn strip(component: &[u8]) -> Option<Vec<u8>> {
    strip_nested(component, DEPTH)
}

fn strip_nested(bytes: &[u8], depth: u32) -> Option<Vec<u8>> {
    let (header, mut rest) = bytes.split_at_checked(HEADER)?;
    let layer = header.strip_prefix(b"\0asm")?;
    let mut stripped = header.to_vec();
    while let Some((&id, behind)) = rest.split_first() {
        let (section, behind) = prefixed(behind)?;
        rest = behind;
        let nested = match id {
            0 if is_debug(std::str::from_utf8(prefixed(section)?.0).ok()?) => continue,
            1 | 4 if layer == COMPONENT => Some(strip_nested(section, depth.checked_sub(1)?)?),
            _ => None,
        };
        let section = nested.as_deref().unwrap_or(section);
        stripped.push(id);
        push_length(section.len(), &mut stripped);
        stripped.extend_from_slice(section);
    }
    Some(stripped)
}

/// Bytes behind their length, and the rest.
fn prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut shift, mut rest) = (0_usize, 0_u32, bytes);
    loop {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        length |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return rest.split_at_checked(length);
        }
        // LEB128 of 32 bits has five bytes at most.
        shift = Some(shift + 7).filter(|shift| *shift < 35)?;
    }
}

fn push_length(mut length: usize, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(length & 0x7f).expect("seven bits");
        length >>= 7;
        if length == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}
