//! Expressions as they are evaluated: operations on a stack, in the order in which they are done.
//!
//! A number that cannot be (0 / 0, the root of −1, more than a float holds) is NaN from where it arises, and makes NaN of all that
//! is computed from it; what is not taken costs nothing: `if(x != 0, y / x, 0)` and `x != 0 && y / x > 2` are fine with x = 0.
//!
//! Deliberately absent: quality. Which inputs count at all is decided before, in `input`.

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Op {
    /// Puts a number on the stack.
    Number(f64),
    /// Puts the value of an input on the stack, by its place among the inputs.
    Input(usize),
    /// Takes one number, gives one.
    One(One),
    /// Takes two numbers, gives one.
    Two(Two),
    /// Takes a condition and two numbers: gives the first if it is not 0, else the second.
    If,
}

/// Operations on one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum One {
    /// −x
    Minus,
    /// 1 if x is 0, else 0
    Not,
    /// x without its sign
    Abs,
    /// To the nearest whole number, halves away from 0
    Round,
    /// To the next whole number that is not above
    Floor,
    /// To the next whole number that is not below
    Ceil,
    /// The square root
    Sqrt,
}

/// Operations on two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Two {
    /// a + b
    Add,
    /// a − b
    Subtract,
    /// a · b
    Multiply,
    /// a / b
    Divide,
    /// a − b · (a / b, cut off to a whole number): what is left of a, with its sign
    Remainder,
    /// a to the power of b, a multiple of ½
    Power,
    /// a < b
    Less,
    /// a ≤ b
    AtMost,
    /// a > b
    Greater,
    /// a ≥ b
    AtLeast,
    /// a = b
    Equal,
    /// a ≠ b
    Unequal,
    /// Both are not 0
    And,
    /// One is not 0
    Or,
    /// The smaller
    Min,
    /// The greater
    Max,
}

impl Two {
    /// Whether it gives 0 or 1, whatever it takes.
    #[must_use]
    pub const fn is_bit(self) -> bool {
        match self {
            Self::Less | Self::AtMost | Self::Greater | Self::AtLeast | Self::Equal | Self::Unequal => true,
            Self::And | Self::Or => true,
            Self::Add | Self::Subtract | Self::Multiply | Self::Divide | Self::Remainder | Self::Power => false,
            Self::Min | Self::Max => false,
        }
    }
}

/// What an operator or a function says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expression {
    /// The operations; one number is left on the stack by all of them.
    pub ops: Vec<Op>,
    /// Whether that is a bit: the last of what is written is a comparison, `&&`, `||` or `!`, or a choice between such.
    pub is_bit: bool,
}

impl Expression {
    /// Whether it reads this input.
    #[must_use]
    pub fn reads(&self, input: usize) -> bool {
        self.ops.contains(&Op::Input(input))
    }

    /// The inputs that it reads, some more than once.
    pub fn inputs(&self) -> impl Iterator<Item = usize> {
        self.ops.iter().filter_map(|op| if let Op::Input(input) = op { Some(*input) } else { None })
    }

    /// Its value; `None`: there is none that a float holds.
    #[must_use]
    pub fn value(&self, input: impl Fn(usize) -> f64) -> Option<f64> {
        let mut stack = Vec::new();
        for op in &self.ops {
            let mut take = || stack.pop().unwrap_or(f64::NAN);
            let value = match *op {
                Op::Number(number) => number,
                Op::Input(place) => input(place),
                Op::One(one) => one.of(take()),
                Op::Two(two) => {
                    let b = take();
                    two.of(take(), b)
                }
                Op::If => {
                    let (otherwise, then, condition) = (take(), take(), take());
                    if condition.is_nan() {
                        condition
                    } else if condition != 0.0 {
                        then
                    } else {
                        otherwise
                    }
                }
            };
            stack.push(if value.is_finite() { value } else { f64::NAN });
        }
        stack.pop().filter(|value| value.is_finite())
    }
}

impl One {
    fn of(self, x: f64) -> f64 {
        match self {
            Self::Minus => -x,
            Self::Not if x.is_nan() => x,
            Self::Not => bit(x == 0.0),
            Self::Abs => x.abs(),
            Self::Round => x.round(),
            Self::Floor => x.floor(),
            Self::Ceil => x.ceil(),
            Self::Sqrt => x.sqrt(),
        }
    }
}

impl Two {
    pub(crate) fn of(self, a: f64, b: f64) -> f64 {
        match self {
            // Whatever the other is: 0 && x and 1 || x are known.
            Self::And if a == 0.0 || b == 0.0 => 0.0,
            Self::Or if is_true(a) || is_true(b) => 1.0,
            _ if a.is_nan() || b.is_nan() => f64::NAN,
            Self::And => 1.0,
            Self::Or => 0.0,
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            // Not the `%` of Rust, which is 2 KB; where a / b is a whole number of 2⁵³ or more, both are noise.
            Self::Remainder => a - b * (a / b).trunc(),
            Self::Power => power(a, b),
            Self::Less => bit(a < b),
            Self::AtMost => bit(a <= b),
            Self::Greater => bit(a > b),
            Self::AtLeast => bit(a >= b),
            Self::Equal => bit(a == b),
            Self::Unequal => bit(a != b),
            Self::Min => a.min(b),
            Self::Max => a.max(b),
        }
    }
}

/// Whole exponents by squaring, halves by the root: the same bits on each machine, which logarithms are not. No other exponents,
/// and none above 1,024, where every number but 1 is beyond what a float holds, or next to 0 or to 1.
fn power(a: f64, b: f64) -> f64 {
    if !is_exponent(b) {
        return f64::NAN;
    }
    let whole = b.abs().floor();
    let mut power = if whole < b.abs() { a.sqrt() } else { 1.0 };
    let (mut square, mut left) = (a, whole);
    while left >= 1.0 {
        let half = (left / 2.0).floor();
        if half * 2.0 < left {
            power *= square;
        }
        square *= square;
        left = half;
    }
    if b < 0.0 { 1.0 / power } else { power }
}

/// Whether [`Two::Power`] can take this number to the right of it.
#[must_use]
pub fn is_exponent(b: f64) -> bool {
    b.abs() <= 1_024.0 && (b * 2.0).floor() == b * 2.0
}

fn is_true(x: f64) -> bool {
    !x.is_nan() && x != 0.0
}

fn bit(bit: bool) -> f64 {
    f64::from(u8::from(bit))
}
