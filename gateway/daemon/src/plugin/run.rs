//! `curb plugin run`: one plugin over the readings of standard input.

use std::io::{self, Read as _, Write, stderr};
use std::path::PathBuf;

use curb_model::{Batch, HubTime};
use curb_pipeline::{HostCommand, Runner, Said};

use super::Error;
use super::args::{HowArgs, RunArgs};
use super::input::{self, Form};
use crate::cli::{FINE, FOUND};

/// Lines that are told as wrong: more tell nothing new.
const WRONG: usize = 20;

pub(super) async fn run(args: &RunArgs, out: &mut impl Write) -> Result<u8, Error> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(Error::Input)?;
    over(&args.how, args.component.clone(), &text, args.json, out).await
}

/// Runs the plugin over these lines.
pub(super) async fn over(
    how: &HowArgs,
    component: PathBuf,
    text: &str,
    json: bool,
    out: &mut impl Write,
) -> Result<u8, Error> {
    let input = read(text)?;
    let form = if json { Form::Json } else { input.form };
    let first = input.batches.first().and_then(|batch| batch.readings.first());
    let start = first.map_or(HubTime::ZERO, |reading| reading.at);
    let mut runner = Runner::start(how.plugin(component)?, &input.points, start, &HostCommand::default()).await?;
    let mut teller = Teller::default();
    for batch in input.batches {
        let result = runner.take(batch).await;
        teller.tell(&runner.said());
        print(form, &result?, out)?;
    }
    let result = runner.finish().await;
    teller.tell(&runner.said());
    print(form, &result?, out)?;
    out.flush()?;
    for (name, value) in runner.health().metrics {
        say(&format!("{name} = {value}"));
    }
    Ok(if teller.trouble.is_some() { FOUND } else { FINE })
}

/// The readings of these lines; what is wrong with them is told.
pub(super) fn read(text: &str) -> Result<input::Input, Error> {
    let input = input::read(text).map_err(|wrong| {
        wrong.iter().take(WRONG).for_each(|wrong| say(&wrong.to_string()));
        Error::Lines(wrong.len())
    })?;
    if input.missed > 0 {
        say(&format!("at least {} readings are missing: the tap that printed these was too slow", input.missed));
    }
    Ok(input)
}

fn print(form: Form, batches: &[Batch], out: &mut impl Write) -> io::Result<()> {
    for batch in batches {
        for reading in &batch.readings {
            writeln!(out, "{}", input::line(form, reading, &batch.stream, batch.offset))?;
        }
    }
    Ok(())
}

/// Tells on standard error what a plugin says, and what there is to say of it.
#[derive(Debug, Default)]
pub(super) struct Teller {
    /// The last thing that went wrong.
    pub(super) trouble: Option<(String, String)>,
}

impl Teller {
    /// A trouble that is the same as the one before it is told once.
    pub(super) fn tell(&mut self, said: &[Said]) {
        for said in said {
            match said {
                Said::Line { level, text } => say(&format!("{level}: {text}")),
                Said::Trouble { word, detail } => {
                    let trouble = Some((word.clone(), detail.clone()));
                    if self.trouble != trouble {
                        say(&format!("{word}: {detail}"));
                    }
                    self.trouble = trouble;
                }
            }
        }
    }
}

/// Whoever reads standard error may have gone: the exit code tells it all the same.
pub(super) fn say(text: &str) {
    writeln!(stderr(), "{text}").ok();
}
