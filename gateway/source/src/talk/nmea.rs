//! Sentences of NMEA 0183 (IEC 61162-1).
//!
//! ```text
//! $ │ address: talker (2) + formatter (3), or P and the maker's word │ ,field … │ * │ check sum, 2 hex digits
//! ```
//!
//! The check sum is the exclusive or of what stands between `$` (or `!`) and `*`. A sentence without one is not believed.

use curb_model::Reason;

/// A sentence, right or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sentence<'f> {
    address: &'f [u8],
    /// Address and fields; `None` when the check sum does not fit.
    body: Option<&'f [u8]>,
}

impl<'f> Sentence<'f> {
    /// The last sentence that begins in this frame. Framing by marks has taken the `$` off.
    pub(super) fn find(frame: &'f [u8]) -> Option<Self> {
        let begin = frame.iter().rposition(|byte| matches!(byte, b'$' | b'!')).map_or(0, |at| at + 1);
        let sentence = frame[begin..].trim_ascii_end();
        let end = sentence.iter().position(|&byte| byte == b'*');
        let (body, sum) = end.map_or((sentence, &[][..]), |end| (&sentence[..end], &sentence[end + 1..]));
        let address = body.split(|&byte| byte == b',').next()?;
        let is_address = (3..=16).contains(&address.len()) && address.iter().all(u8::is_ascii_alphanumeric);
        let found = str::from_utf8(sum).ok().filter(|sum| sum.len() == 2 && !sum.starts_with('+'));
        let found = found.and_then(|sum| u8::from_str_radix(sum, 16).ok());
        let fits = found == Some(body.iter().fold(0, |sum, byte| sum ^ byte));
        is_address.then_some(Self { address, body: fits.then_some(body) })
    }

    /// Whether it is the wanted one: by its whole address, or by its formatter from whatever talker.
    pub(super) fn is(&self, wanted: &str) -> bool {
        let is_standard = self.address.len() == 5 && self.address[0] != b'P';
        self.address == wanted.as_bytes() || is_standard && &self.address[2..] == wanted.as_bytes()
    }

    /// A field, from 1.
    pub(super) fn field(&self, field: u16) -> Result<&'f [u8], Reason> {
        let body = self.body.ok_or(Reason::Crc)?;
        // The address is number 0. Devices leave out what later editions added at the end.
        body.split(|&byte| byte == b',').nth(field.into()).ok_or(Reason::Absent)
    }
}
