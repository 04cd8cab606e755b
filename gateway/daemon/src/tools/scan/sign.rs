//! One request, and what its bytes are a sign of. Pure.

use curb_model::Reason;
use curb_source::{Outcome, Probed, Table};

use super::super::frames::has_right_crc;

/// Reads of one register, which is what a scan asks: of holding:0, or of input:0.
const FUNCTIONS: [u8; 2] = [3, 4];

/// What such a request asks for, behind unit and function: address 0, and few registers. The line guard asks for another
/// quantity where an answer is owed, to tell them apart.
const FIRST: [u8; 3] = [0, 0, 0];

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
    /// A right answer to what was asked, of this unit, which was not asked.
    Other(u8),
    /// A right frame that is no answer of any unit to us. One may be chance.
    Stray,
    /// More than one of them, or a request with its answer: another master.
    Foreign,
    /// Over a connection: it was made, and what came is no answer.
    Unspoken,
    /// The same byte again and again.
    Constant(u8),
    /// Bytes without any right frame.
    Garbage,
}

impl Sign {
    /// The sign of a probe of `unit`.
    pub(crate) fn of(unit: u8, probed: &Probed) -> Self {
        let rest = without_echoes(&probed.heard);
        let (echo, rest) = (rest.len() < probed.heard.len(), rest.as_slice());
        let ours = |frame: &&[u8]| frame[0] == unit && FUNCTIONS.contains(&(frame[1] & 0x7F));
        match &probed.outcome {
            Outcome::Registers(_) | Outcome::Bits(_) | Outcome::Exception(_) | Outcome::Done => {
                let answers = frames(rest).into_iter().filter(ours).count();
                return if answers > 1 { Self::Doubled } else { Self::Answer };
            }
            Outcome::Identity(_) | Outcome::ServerId(_) => return Self::Answer,
            Outcome::Failed(Reason::Crc) if rest.is_empty() => return Self::Spoilt,
            // Connections keep no bytes: nothing but a time-out is silence there.
            Outcome::Failed(Reason::Framing | Reason::Port) if probed.heard.is_empty() => return Self::Unspoken,
            Outcome::Failed(_) | Outcome::Unusable(_) => {}
        }
        let Some(&first) = rest.first() else { return if echo { Self::Echo } else { Self::Silence } };
        if FUNCTIONS
            .iter()
            .any(|function| rest.starts_with(&[unit, *function]) || rest.starts_with(&[unit, function | 0x80]))
        {
            return Self::Spoilt;
        }
        if let Some(other) = only_answer(rest) {
            return Self::Other(other);
        }
        if let Some(strangers) = strangers(rest) {
            return strangers;
        }
        if rest.iter().all(|&byte| byte == first) { Self::Constant(first) } else { Self::Garbage }
    }

    /// What bytes are a sign of that came without any request.
    pub(crate) fn of_strangers(heard: &[u8]) -> Self {
        if let Some(strangers) = strangers(heard) {
            return strangers;
        }
        match heard {
            [] => Self::Silence,
            [first, rest @ ..] if rest.iter().all(|byte| byte == first) => Self::Constant(*first),
            _ => Self::Garbage,
        }
    }

    /// Whether somebody at these settings understood us.
    pub(crate) const fn is_understood(self) -> bool {
        matches!(self, Self::Answer | Self::Doubled | Self::Spoilt | Self::Other(_))
    }
}

/// Whether another device with this address has answered the read of `table`, after the first one was done: that is among
/// what was heard since.
pub(crate) fn is_second_answer(unit: u8, table: Table, heard: &[u8]) -> bool {
    let function = if table == Table::Input { 4 } else { 3 };
    let is_answer = |frame: &&[u8]| {
        frame[0] == unit
            && (frame[1] == function && frame.len() == usize::from(frame[2]) + 5
                || frame[1] == function | 0x80 && frame.len() == 5)
    };
    frames(&without_echoes(heard)).iter().any(is_answer)
}

/// What was heard without our own requests, wherever they stand: an echo may come later than the next request goes out.
fn without_echoes(heard: &[u8]) -> Vec<u8> {
    let is_request = |frame: &[u8]| FUNCTIONS.contains(&frame[1]) && frame[2..5] == FIRST && has_right_crc(frame);
    let mut rest = Vec::new();
    let mut at = 0;
    while let Some(&byte) = heard.get(at) {
        if heard.get(at..at + REQUEST).is_some_and(is_request) {
            at += REQUEST;
        } else {
            rest.push(byte);
            at += 1;
        }
    }
    rest
}

/// Who has answered, if these bytes are nothing but one answer to a question of ours.
fn only_answer(bytes: &[u8]) -> Option<u8> {
    let is_answer = match bytes {
        [_, function, _, _, _] => function & 0x80 != 0 && FUNCTIONS.contains(&(function & 0x7F)),
        [_, function, count, values_and_crc @ ..] => {
            FUNCTIONS.contains(function) && *count >= 2 && values_and_crc.len() == usize::from(*count) + 2
        }
        _ => false,
    };
    (is_answer && has_right_crc(bytes)).then(|| bytes[0])
}

/// Whether somebody else's frames are among the bytes. In noise a short frame is soon found; a long one seldom, two never.
fn strangers(bytes: &[u8]) -> Option<Sign> {
    let frames = frames(bytes);
    let long = frames.iter().filter(|frame| frame.len() >= REQUEST).count();
    let answers =
        |pair: &[&[u8]]| pair[0].len() == REQUEST && pair[1][0] == pair[0][0] && pair[1][1] & 0x7F == pair[0][1];
    match long {
        0 => None,
        1 if !frames.windows(2).any(answers) => Some(Sign::Stray),
        _ => Some(Sign::Foreign),
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
        check("another unit's answer", strange(), &[&framed(&[9, 3, 2, 0, 7])], Sign::Other(9));
        check("another unit's refusal behind our echo", strange(), &[request, &framed(&[9, 0x83, 2])], Sign::Other(9));
        let theirs = &framed(&[9, 4, 0, 1, 0, 2])[..];
        check("one frame of somebody else", strange(), &[theirs], Sign::Stray);
        check("two frames of somebody else", strange(), &[theirs, theirs], Sign::Foreign);
        check("his request and its refusal", strange(), &[theirs, &framed(&[9, 0x84, 2])], Sign::Foreign);
        let short = &framed(&[77, 0x91, 3])[..];
        check("short frames in noise", strange(), &[&[1, 2, 3], short, &[4, 5], short], Sign::Garbage);
        check("the last echo, late", strange(), &[&framed(&[2, 3, 0, 0, 0, 1])], Sign::Echo);
        check("an echo of another quantity", strange(), &[&framed(&[3, 3, 0, 0, 0, 2])], Sign::Echo);
        check("another unit's longer answer", strange(), &[&framed(&[9, 3, 4, 0, 7, 0, 8])], Sign::Other(9));
        check("the last echo and ours", strange(), &[&framed(&[2, 3, 0, 0, 0, 1]), request], Sign::Echo);
        check("a late echo before an answer that was hit", strange(), &[request, &answer[..5], &[0, 0]], Sign::Spoilt);
        check("a strange answer over a connection", strange(), &[], Sign::Unspoken);
        check("a connection that was closed", Outcome::Failed(Reason::Port), &[], Sign::Unspoken);
        check("zeros", strange(), &[&[0, 0, 0]], Sign::Constant(0));
        check("ones behind our echo", strange(), &[request, &[0xFF; 4]], Sign::Constant(0xFF));
        check("noise", strange(), &[&[7, 1, 200, 3]], Sign::Garbage);
        let later = |heard: &[&[u8]]| is_second_answer(3, Table::Holding, &heard.concat());
        assert!(later(&[other]) && later(&[&framed(&[3, 0x83, 2])]) && later(&[request, &[0], answer]));
        assert!(!later(&[]) && !later(&[request]) && !later(&[&framed(&[9, 3, 2, 0, 7])]) && !later(&[theirs]));
        assert!(!later(&[&framed(&[3, 4, 2, 0, 7])]), "the late answer to another question");
        assert_eq!(Sign::of_strangers(&[]), Sign::Silence);
        assert_eq!(Sign::of_strangers(&[request, answer].concat()), Sign::Foreign);
        assert_eq!(Sign::of_strangers(&framed(&[9, 4, 0, 1, 0, 2])), Sign::Stray);
        assert_eq!(Sign::of_strangers(&[0, 0]), Sign::Constant(0));
        assert_eq!(Sign::of_strangers(&[1, 2, 3, 4, 5, 6]), Sign::Garbage);
    }
}
