//! `curb store export`: messages as JSON lines, into a new file or to standard output.
//!
//! A file is whole or not there: half of it would look like all of it. Nor is there one where nothing was to be copied.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::form::{ExportLine, Exported, RowLine};
use super::{Error, Way, line};
use crate::cli::{FINE, FOUND, StoreArgs};
use crate::control::{self, Op};

/// The name that means standard output.
const OUTPUT: &str = "-";

pub(super) async fn run(args: &StoreArgs, what: Exported, path: &Path, out: &mut impl Write) -> Result<u8, Error> {
    let way = Way::find(args)?;
    let is_file = path != Path::new(OUTPUT);
    let (messages, denied) = if is_file {
        let error = |source| Error::File { path: path.to_owned(), source };
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(error)?;
        let copied = to_file(way, what, file, path).await;
        if !matches!(copied, Ok((1.., _))) {
            fs::remove_file(path).ok();
        }
        copied?
    } else {
        let copied = copy(way, what, out, Error::Output).await?;
        out.flush()?;
        copied
    };
    // Beside the messages there is nothing on standard output.
    let out: &mut dyn Write = if is_file { out } else { &mut io::stderr() };
    if args.json {
        writeln!(out, "{}", serde_json::json!({ "v": 1, "messages": messages, "denied": denied }))?;
    } else {
        match (messages, is_file) {
            (0, true) => writeln!(out, "0 messages: {} is not written", path.display())?,
            (_, true) => writeln!(out, "{messages} messages in {}", path.display())?,
            (_, false) => writeln!(out, "{messages} messages")?,
        }
        if denied > 0 {
            writeln!(out, "{denied} left out: the policy denies what is in them")?;
        }
    }
    Ok(if denied == 0 { FINE } else { FOUND })
}

async fn to_file(way: Way, what: Exported, file: File, path: &Path) -> Result<(u64, u64), Error> {
    let error = |source| Error::File { path: path.to_owned(), source };
    let mut file = BufWriter::new(file);
    let copied = copy(way, what, &mut file, error).await?;
    file.flush().and_then(|()| file.get_ref().sync_all()).map_err(error)?;
    Ok(copied)
}

/// Copies all; how many messages that are, and how many the policy denies.
async fn copy(
    way: Way,
    what: Exported,
    to: &mut impl Write,
    error: impl Fn(io::Error) -> Error,
) -> Result<(u64, u64), Error> {
    let mut messages = 0;
    let mut write = |row: &RowLine| {
        messages += 1;
        let mut text = serde_json::to_vec(row)?;
        text.push(b'\n');
        to.write_all(&text).map_err(&error)
    };
    let denied = match way {
        Way::Daemon(run_dir) => {
            let mut call = control::ask(&run_dir, Op::StoreExport { what }).await?;
            loop {
                match line(&mut call).await? {
                    ExportLine::Row(row) => write(&row)?,
                    ExportLine::End { denied } => break denied,
                }
            }
        }
        Way::Alone(alone) => {
            let policy = alone.settings()?.pipeline.policy.clone();
            let mut shelves = alone.shelves()?;
            let mut export = shelves.export(what, policy);
            while let Some(rows) = export.next().await? {
                rows.iter().try_for_each(&mut write)?;
            }
            export.denied
        }
    };
    Ok((messages, denied))
}
