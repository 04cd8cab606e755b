//! One request, and what its bytes are a sign of. Pure.

use curb_model::Reason;
use curb_source::{Outcome, Probed};

use super::super::frames::has_right_crc;

/// Reads of one register, which is what a scan asks.
const FUNCTION: u8 = 3;

/// Length of the request, and so of its echo.
const REQUEST: usize = 8;

/// What came after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sign {
    /// An answer or a refusal, with a right check sum.
    Answer,
    /// Two of them: more than one unit has this address.
    Doubled,
    /// Nothing.
    Silence,
    /// Our own request, and nothing else.
    Echo,
    /// It begins like an answer, and its check sum is wrong.
    Spoilt,
    /// Right frames that answer something else: another master.
    Foreign,
    /// The same byte again and again.
    Constant(u8),
    /// Bytes without any right frame.
    Garbage,
}

impl Sign {
    /// The sign of a probe of `unit`.
    pub(crate) fn of(unit: u8, probed: &Probed) -> Self {
        let is_echo = |frame: &[u8]| frame.starts_with(&[unit, FUNCTION]) && has_right_crc(frame);
        let echo = probed.heard.get(..REQUEST).is_some_and(is_echo);
        let rest = if echo { &probed.heard[REQUEST..] } else { probed.heard.as_slice() };
        let ours = |frame: &&[u8]| frame[0] == unit && frame[1] & 0x7F == FUNCTION;
        match &probed.outcome {
            Outcome::Registers(_) | Outcome::Bits(_) | Outcome::Exception(_) | Outcome::Done => {
                let answers = frames(rest).into_iter().filter(ours).count();
                return if answers > 1 { Self::Doubled } else { Self::Answer };
            }
            Outcome::Identity(_) | Outcome::ServerId(_) => return Self::Answer,
            Outcome::Failed(Reason::Crc) if rest.is_empty() => return Self::Spoilt,
            Outcome::Failed(_) | Outcome::Unusable(_) => {}
        }
        let Some(&first) = rest.first() else { return if echo { Self::Echo } else { Self::Silence } };
        if rest.starts_with(&[unit, FUNCTION]) || rest.starts_with(&[unit, FUNCTION | 0x80]) {
            return Self::Spoilt;
        }
        if !frames(rest).is_empty() {
            return Self::Foreign;
        }
        if rest.iter().all(|&byte| byte == first) { Self::Constant(first) } else { Self::Garbage }
    }

    /// What bytes are a sign of that came without any request.
    pub(crate) fn of_strangers(heard: &[u8]) -> Self {
        match heard {
            [] => Self::Silence,
            heard if !frames(heard).is_empty() => Self::Foreign,
            [first, rest @ ..] if rest.iter().all(|byte| byte == first) => Self::Constant(*first),
            _ => Self::Garbage,
        }
    }

    /// Whether somebody at these settings understood us.
    pub(crate) const fn is_understood(self) -> bool {
        matches!(self, Self::Answer | Self::Doubled | Self::Spoilt)
    }
}

/// Frames with a right check sum, wherever they stand.
fn frames(bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let answer = rest.get(2).map_or(0, |&count| usize::from(count) + 5);
        let whole =
            [REQUEST, 5, answer].into_iter().find_map(|len| rest.get(..len).filter(|frame| has_right_crc(frame)));
        match whole {
            Some(frame) => {
                found.push(frame);
                at += frame.len();
            }
            None => at += 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::frames::crc16;
    use super::*;

    fn framed(body: &[u8]) -> Vec<u8> {
        [body, &crc16(body).to_le_bytes()].concat()
    }

    #[test]
    fn every_trouble_has_its_sign() {
        let check = |what: &str, outcome: Outcome, heard: &[&[u8]], expected: Sign| {
            let probed = Probed { outcome, heard: heard.concat(), took: Duration::ZERO };
            assert_eq!(Sign::of(3, &probed), expected, "{what}");
        };
        let none = || Outcome::Failed(Reason::Timeout);
        let strange = || Outcome::Failed(Reason::Framing);
        let (request, answer) = (&framed(&[3, 3, 0, 0, 0, 1])[..], &framed(&[3, 3, 2, 0, 7])[..]);
        let other = &framed(&[3, 3, 2, 0, 8])[..];
        let good = || Outcome::Registers(vec![7]);
        check("an answer", good(), &[answer], Sign::Answer);
        check("an answer behind our echo", good(), &[request, answer], Sign::Answer);
        check("a refusal", Outcome::Exception(2), &[&framed(&[3, 0x83, 2])], Sign::Answer);
        check("two answers in a row", good(), &[answer, other], Sign::Doubled);
        check("nothing", none(), &[], Sign::Silence);
        check("our own words", none(), &[request], Sign::Echo);
        check("an answer that was hit", Outcome::Failed(Reason::Crc), &[&answer[..5], &[0, 0]], Sign::Spoilt);
        check("answers on top of each other", strange(), &[request, &answer[..3], &[9, 9, 9]], Sign::Spoilt);
        check("somebody else's answer", strange(), &[&framed(&[9, 3, 2, 0, 7])], Sign::Foreign);
        check("zeros", strange(), &[&[0, 0, 0]], Sign::Constant(0));
        check("ones behind our echo", strange(), &[request, &[0xFF; 4]], Sign::Constant(0xFF));
        check("noise", strange(), &[&[7, 1, 200, 3]], Sign::Garbage);
        assert_eq!(Sign::of_strangers(&[]), Sign::Silence);
        assert_eq!(Sign::of_strangers(&[answer, other].concat()), Sign::Foreign);
        assert_eq!(Sign::of_strangers(&[0, 0]), Sign::Constant(0));
        assert_eq!(Sign::of_strangers(&[1, 2, 3, 4, 5, 6]), Sign::Garbage);
    }
}
