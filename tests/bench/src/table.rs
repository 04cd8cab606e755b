//! Figures as one table.

use std::fmt;
use std::io::{self, Write};

/// What a figure should be; the goals are those of the papers that the project began with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// No goal is set: the figure stands for itself.
    None,
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_met_by(self, figure: f64) -> Option<bool> {
        match self {
            Self::None => None,
            Self::AtMost(most) => Some(figure <= most),
            Self::AtLeast(least) => Some(figure >= least),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::AtMost(most) => write!(f, "≤ {}", number(*most)),
            Self::AtLeast(least) => write!(f, "≥ {}", number(*least)),
        }
    }
}

/// One figure.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) figure: String,
    pub(crate) unit: &'static str,
    pub(crate) curb: f64,
    /// What it is compared with in the same run, and that one's figure.
    pub(crate) beside: (&'static str, f64),
    pub(crate) goal: Goal,
}

/// All figures of a run, and what was odd.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Table {
    pub(crate) fn add(
        &mut self,
        figure: impl Into<String>,
        unit: &'static str,
        curb: f64,
        beside: (&'static str, f64),
        goal: Goal,
    ) {
        self.rows.push(Row { figure: figure.into(), unit, curb, beside, goal });
    }

    /// A line below the table.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Prints it, columns aligned.
    pub(crate) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let head = ["figure", "unit", "curb", "compared with", "", "ratio", "goal", ""].map(ToOwned::to_owned);
        let lines: Vec<_> = std::iter::once(head).chain(self.rows.iter().map(cells)).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 8] = std::array::from_fn(width);
        for line in &lines {
            let mut text = String::new();
            for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
                let gap = " ".repeat(width - cell.chars().count());
                // Text to the left, numbers to the right.
                let cell =
                    if matches!(column, 2 | 4 | 5) { format!("{gap}{cell}  ") } else { format!("{cell}{gap}  ") };
                text.push_str(&cell);
            }
            writeln!(out, "{}", text.trim_end())?;
        }
        self.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))
    }
}

fn cells(row: &Row) -> [String; 8] {
    let (name, figure) = row.beside;
    let ratio = if figure == 0.0 { "–".to_owned() } else { format!("{:.3}", row.curb / figure) };
    let verdict = match row.goal.is_met_by(row.curb) {
        None => "",
        Some(true) => "met",
        Some(false) => "missed",
    };
    [
        row.figure.clone(),
        row.unit.to_owned(),
        number(row.curb),
        name.to_owned(),
        number(figure),
        ratio,
        row.goal.to_string(),
        verdict.to_owned(),
    ]
}

/// Three or four places that say something.
fn number(figure: f64) -> String {
    let size = figure.abs();
    let places = if size >= 1000.0 || size.fract() == 0.0 {
        0
    } else if size >= 100.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        3
    };
    format!("{figure:.places$}")
}
