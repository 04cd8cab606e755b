//! From the text of an expression to its operations, by precedence climbing (Pratt).
//!
//! ```text
//! loosest   ||
//!           &&
//!           < <= > >= == !=     do not chain: 0 < x && x < 5, not 0 < x < 5
//!           + -
//!           * / %
//!           - !                 in front
//! tightest  ^                   from the right: 2 ^ 3 ^ 2 is 2 ^ 9; −2 ^ 2 is −4
//! ```
//!
//! Names of points have `-` and `/` in them, as operators do. So a name is only what is among the inputs: where a value is
//! expected, the longest of them that stands there, and ends there, is read. What follows is read as an operator. With the inputs `a/b`
//! and `a/b-c`, `a/b-c` is the point `a/b-c`, and `a/b -c` is not. Blanks are needed nowhere else.

use curb_plugin::{join, number};

use crate::expression::{Expression, One, Op, Two, is_exponent};

/// Expressions inside each other at most: recursion must end before the stack does.
const DEPTH: u32 = 32;

/// Operators between two values: how tightly each holds what is left of it, and what is right. Longer ones first.
const OPERATORS: [(&str, Two, u8, u8); 14] = [
    ("||", Two::Or, 1, 2),
    ("&&", Two::And, 3, 4),
    ("<=", Two::AtMost, COMPARISON, 6),
    (">=", Two::AtLeast, COMPARISON, 6),
    ("==", Two::Equal, COMPARISON, 6),
    ("!=", Two::Unequal, COMPARISON, 6),
    ("<", Two::Less, COMPARISON, 6),
    (">", Two::Greater, COMPARISON, 6),
    ("+", Two::Add, 7, 8),
    ("-", Two::Subtract, 7, 8),
    ("*", Two::Multiply, 9, 10),
    ("/", Two::Divide, 9, 10),
    ("%", Two::Remainder, 9, 10),
    ("^", Two::Power, 14, 13),
];
const COMPARISON: u8 = 5;
/// How tightly a sign in front holds what it stands in front of.
const FRONT: u8 = 11;

/// What a function is made of.
#[derive(Clone, Copy, PartialEq)]
enum Function {
    /// Of one value.
    One(One),
    /// Of two values or more, taken together from the left.
    Fold(Two),
    /// Of a value and two bounds.
    Clamp,
    /// Of a condition and two values.
    If,
}

const FUNCTIONS: [(&str, Function); 9] = [
    ("if", Function::If),
    ("min", Function::Fold(Two::Min)),
    ("max", Function::Fold(Two::Max)),
    ("clamp", Function::Clamp),
    ("abs", Function::One(One::Abs)),
    ("round", Function::One(One::Round)),
    ("floor", Function::One(One::Floor)),
    ("ceil", Function::One(One::Ceil)),
    ("sqrt", Function::One(One::Sqrt)),
];

/// Reads an expression over these inputs.
///
/// # Errors
/// It is none: the text has the column, what was expected there and what was found.
pub fn parse(text: &str, inputs: &[&str]) -> Result<Expression, String> {
    let mut parser = Parser { text, rest: text, inputs, ops: Vec::new(), depth: 0 };
    let is_bit = parser.expression(0)?;
    if !parser.rest.is_empty() {
        return Err(parser.expected("an operator"));
    }
    Ok(Expression { ops: parser.ops, is_bit })
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    inputs: &'a [&'a str],
    ops: Vec<Op>,
    depth: u32,
}

impl Parser<'_> {
    /// What holds as tightly as `least` or tighter; whether that is a bit.
    fn expression(&mut self, least: u8) -> Result<bool, String> {
        if self.depth == DEPTH {
            return Err(self.expected("no more than 32 levels"));
        }
        self.depth += 1;
        let mut is_bit = self.value()?;
        let mut compared = false;
        self.blank();
        while let Some((sign, two, left, right)) = OPERATORS.iter().find(|(sign, ..)| self.rest.starts_with(sign)) {
            if *left < least {
                break;
            }
            if *left == COMPARISON && compared {
                return Err(self.expected("&& or || between two comparisons"));
            }
            compared |= *left == COMPARISON;
            self.take(sign);
            self.blank();
            let right_at = self.rest;
            self.expression(*right)?;
            if let (Two::Power, Some(Op::Number(exponent))) = (two, self.ops.last())
                && !is_exponent(*exponent)
            {
                self.rest = right_at;
                return Err(self.expected("an exponent that is a whole number, or ends in .5"));
            }
            self.ops.push(Op::Two(*two));
            is_bit = two.is_bit();
            self.blank();
        }
        self.depth -= 1;
        Ok(is_bit)
    }

    /// A number, a point, a call, something in parentheses, or a sign in front of one.
    fn value(&mut self) -> Result<bool, String> {
        self.blank();
        if let Some(input) = self.input() {
            self.ops.push(Op::Input(input));
            return Ok(false);
        }
        if self.take("(") {
            let is_bit = self.expression(0)?;
            self.closed()?;
            return Ok(is_bit);
        }
        for (sign, one) in [("-", One::Minus), ("!", One::Not)] {
            if self.take(sign) {
                self.expression(FRONT)?;
                self.ops.push(Op::One(one));
                return Ok(one == One::Not);
            }
        }
        if self.rest.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            return self.number().map(|()| false);
        }
        let here = self.rest;
        for (name, function) in FUNCTIONS {
            if self.take(name) {
                self.blank();
                if self.take("(") {
                    return self.call(function);
                }
                self.rest = here;
            }
        }
        Err(self.expected("a number, a function or a point that this plugin sees"))
    }

    /// The longest input that stands here as a whole.
    fn input(&mut self) -> Option<usize> {
        let mut longest: Option<(usize, &str)> = None;
        for (place, name) in self.inputs.iter().enumerate() {
            let rest = self.rest.strip_prefix(name).filter(|rest| ends(rest));
            longest = match (rest, longest) {
                (Some(rest), Some((_, shorter))) if rest.len() >= shorter.len() => longest,
                (Some(rest), _) => Some((place, rest)),
                (None, _) => longest,
            };
        }
        let (place, rest) = longest?;
        self.rest = rest;
        Some(place)
    }

    fn number(&mut self) -> Result<(), String> {
        let bytes = self.rest.as_bytes();
        let digits = |from: usize| from + bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
        let mut end = digits(0);
        if bytes.get(end) == Some(&b'.') {
            end = digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            end = digits(end + 1 + sign);
        }
        let (text, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        let Some(value) = number(text).filter(|_| ends(rest)) else {
            return Err(self.expected("a number like 0.5 or 1e3"));
        };
        self.rest = rest;
        self.ops.push(Op::Number(value));
        Ok(())
    }

    /// What stands in the parentheses of a call.
    fn call(&mut self, function: Function) -> Result<bool, String> {
        let (least, most) = match function {
            Function::One(_) => (1, 1),
            Function::Fold(_) => (2, u32::MAX),
            Function::Clamp | Function::If => (3, 3),
        };
        let mut values = 0;
        let mut is_bit = true;
        loop {
            let bit = self.expression(0)?;
            // Of a choice, the condition does not matter.
            is_bit &= bit || values == 0;
            values += 1;
            match function {
                Function::Fold(two) if values > 1 => self.ops.push(Op::Two(two)),
                Function::Clamp if values == 2 => self.ops.push(Op::Two(Two::Max)),
                Function::Clamp if values == 3 => self.ops.push(Op::Two(Two::Min)),
                Function::One(_) | Function::Fold(_) | Function::Clamp | Function::If => {}
            }
            if values >= most || !self.take(",") {
                break;
            }
        }
        if values < least {
            return Err(self.expected("a comma and another value"));
        }
        self.closed()?;
        match function {
            Function::One(one) => self.ops.push(Op::One(one)),
            Function::If => self.ops.push(Op::If),
            Function::Fold(_) | Function::Clamp => {}
        }
        Ok(is_bit && function == Function::If)
    }

    fn closed(&mut self) -> Result<(), String> {
        self.blank();
        if self.take(")") { Ok(()) } else { Err(self.expected("an operator or a closing parenthesis")) }
    }

    fn take(&mut self, sign: &str) -> bool {
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn blank(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    /// The complaint: where, what was expected, and what stands there.
    fn expected(&self, expected: &str) -> String {
        let read = self.text.len() - self.rest.len();
        // Columns are characters: continuation bytes are none.
        let before = self.text.bytes().take(read).filter(|byte| byte & 0xc0 != 0x80).count();
        let word = self.rest.bytes().take_while(|byte| is_word(*byte) || matches!(byte, b'-' | b'/' | b'.')).count();
        let found = match self.rest.get(..word.max(1)) {
            Some(found) => join(&["\"", found, "\""]),
            None if self.rest.is_empty() => "the end".to_owned(),
            None => "a character of another alphabet".to_owned(),
        };
        let column = (before + 1).to_string();
        join(&["column ", &column, " of \"", self.text, "\": expected ", expected, ", found ", &found])
    }
}

/// Whether this is part of a word: neither a name nor a number ends in the middle of one.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether what was read ends here.
fn ends(rest: &str) -> bool {
    !rest.bytes().next().is_some_and(is_word)
}
