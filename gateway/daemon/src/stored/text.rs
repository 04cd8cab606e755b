//! What `curb store` prints for people.

use std::io::{self, Write};

use super::form::{Change, Changed, RowLine, Shown, WaitingLine};

pub(super) fn show(shown: &Shown, out: &mut impl Write) -> io::Result<()> {
    if shown.aside.is_empty() {
        writeln!(out, "nothing is set aside")?;
    } else {
        writeln!(out, "SET ASIDE: the core refused these, and has been told that they will not come")?;
        writeln!(
            out,
            "     ROW  STREAM           LANE         SEQ  READINGS     BYTES  READ, RUN, AND WHY IT WAS REFUSED"
        )?;
    }
    for row in &shown.aside {
        let RowLine { row, stream, lane, seq, readings, bytes, run, code, reason, first_ms, last_ms, .. } = row;
        writeln!(
            out,
            "{row:>8}  {stream:16} {lane:5} {seq:>10} {readings:>9} {bytes:>9}  {}",
            span(*first_ms, *last_ms)
        )?;
        let reason = reason.as_deref().unwrap_or_default();
        writeln!(out, "{:8}  run {run}, 0x{:02x} {reason}", "", code.unwrap_or_default())?;
    }
    if shown.waiting.is_empty() {
        return writeln!(out, "nothing waits");
    }
    writeln!(out, "\nWAITS: STREAM     RUN                           MESSAGES  READINGS      BYTES")?;
    for WaitingLine { run, stream, messages, readings, bytes, released } in &shown.waiting {
        write!(out, "{stream:17} {run:28} {messages:>9} {readings:>9} {bytes:>10}")?;
        match released {
            0 => writeln!(out)?,
            _ => writeln!(out, "  {released} put back; READINGS is without theirs, which the core was told as lost")?,
        }
    }
    Ok(())
}

fn span(first_ms: Option<i64>, last_ms: Option<i64>) -> String {
    match (first_ms, last_ms) {
        (Some(first), Some(last)) if first / 1_000 == last / 1_000 => crate::clock::text(first),
        (Some(first), Some(last)) => format!("{} to {}", crate::clock::text(first), crate::clock::text(last)),
        (_, _) => "undated".to_owned(),
    }
}

pub(super) fn changed(change: Change, changed: &Changed, out: &mut impl Write) -> io::Result<()> {
    let what = match change {
        Change::Release => "put back into the queue",
        Change::Drop => "deleted",
    };
    writeln!(out, "{} messages {what}", changed.done.len())?;
    let rows = |rows: &[i64]| rows.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
    if !changed.absent.is_empty() {
        writeln!(out, "not set aside: {}", rows(&changed.absent))?;
    }
    if !changed.denied.is_empty() {
        writeln!(out, "left where they are, since the policy denies what is in them: {}", rows(&changed.denied))?;
    }
    Ok(())
}
