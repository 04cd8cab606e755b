//! The real binaries as processes: found, started with a log, signalled by their own pid, waited for with a deadline.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::error::Error;

/// How much of a log an error shows.
const TAIL_LINES: usize = 40;

/// How often [`eventually`] looks.
const LOOK: Duration = Duration::from_millis(20);

/// Where the program `name` is: what the environment says (`CURB_BIN` for `curb`), else beside this program in the
/// build's folder.
///
/// # Errors
/// It is at neither place.
pub fn binary(name: &str) -> Result<PathBuf, Error> {
    let variable = format!("{}_BIN", name.to_uppercase());
    if let Some(path) = std::env::var_os(&variable) {
        return Ok(path.into());
    }
    let this =
        std::env::current_exe().map_err(|source| Error::Process { act: "find", name: name.to_owned(), source })?;
    let folder = this.parent().unwrap_or(Path::new("."));
    // Test programs lie one folder deeper than binaries.
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let looked = folder.join(name);
    if looked.is_file() { Ok(looked) } else { Err(Error::NoProgram { name: name.to_owned(), variable, looked }) }
}

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; what it prints on stderr goes to the end of `<folder>/<name>.log`, stdout to
    /// `<folder>/<name>.out`. It is in a process group of its own: a Ctrl-C at the terminal is ours to pass on.
    ///
    /// # Errors
    /// The log cannot be made, or the program does not start.
    pub fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        folder: &Path,
    ) -> Result<Self, Error> {
        let append = |ending: &str| {
            let path = folder.join(format!("{name}.{ending}"));
            let file = File::options().create(true).append(true).open(&path).map_err(Error::file(&path))?;
            Ok::<_, Error>((path, file))
        };
        let (_, out) = append("out")?;
        let (log, err) = append("log")?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Error::Process { act: "start", name: name.to_owned(), source })?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Runs `program` to its end and returns its stdout, whatever its exit code.
    ///
    /// # Errors
    /// It does not start, or does not end within `deadline`.
    ///
    /// # Cancel safety
    /// Dropping the future kills the program.
    pub async fn run<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        folder: &Path,
        deadline: Duration,
    ) -> Result<(ExitStatus, Vec<u8>), Error> {
        let out = folder.join(format!("{name}.out"));
        // Programs that are run to their end start with an empty page.
        File::create(&out).map_err(Error::file(&out))?;
        let mut process = Self::start(name, program, arguments, folder)?;
        let status = process.wait(deadline).await?;
        Ok((status, fs::read(&out).map_err(Error::file(&out))?))
    }

    /// As [`Process::run`]; what it printed on stderr stands behind that where it could not do what it was asked for (an exit
    /// code from 2 on).
    ///
    /// # Errors
    /// The same.
    ///
    /// # Cancel safety
    /// The same.
    pub async fn run_told<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        folder: &Path,
        deadline: Duration,
    ) -> Result<(ExitStatus, String), Error> {
        let log = folder.join(format!("{name}.log"));
        File::create(&log).map_err(Error::file(&log))?;
        let (status, mut out) = Self::run(name, program, arguments, folder, deadline).await?;
        if status.code().is_none_or(|code| code > 1) {
            out.extend(fs::read(&log).map_err(Error::file(&log))?);
        }
        Ok((status, String::from_utf8_lossy(&out).into_owned()))
    }

    /// Its process id; `None` once it has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Asks it to end (SIGTERM). Without effect if it has ended.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn terminate(&self) -> Result<(), Error> {
        self.signal("terminate", Signal::TERM)
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// The signal cannot be sent.
    ///
    /// # Cancel safety
    /// The signal is sent at once; a cancelled wait may be made up for by [`Process::wait`].
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.signal("kill", Signal::KILL)?;
        self.wait(Duration::from_secs(10)).await.map(drop)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It has not ended within `deadline`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus, Error> {
        match tokio::time::timeout(deadline, self.child.wait()).await {
            Ok(ended) => ended.map_err(|source| Error::Process { act: "wait for", name: self.name.clone(), source }),
            Err(_) => Err(Error::StillRunning { name: self.name.clone(), deadline, log: self.tail() }),
        }
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child.try_wait().map_err(|source| Error::Process { act: "look at", name: self.name.clone(), source })
    }

    /// Sees to it that it has not ended.
    ///
    /// # Errors
    /// It has.
    pub(crate) fn still_runs(&mut self) -> Result<(), Error> {
        self.ended()?.map_or(Ok(()), |ended| Err(self.failed(ended)))
    }

    /// The error that it ended, and so.
    pub(crate) fn failed(&self, ended: ExitStatus) -> Error {
        Error::Failed { name: self.name.clone(), ended, log: self.tail() }
    }

    /// The last lines of its log, under its name.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        format!("--- {} ({})\n{last}\n", self.name, self.log.display())
    }

    fn signal(&self, act: &'static str, signal: Signal) -> Result<(), Error> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let Some(pid) = pid else { return Ok(()) };
        kill_process(pid, signal).map_err(|source| Error::Process {
            act,
            name: self.name.clone(),
            source: source.into(),
        })
    }
}

/// Looks again and again until `look` finds something.
///
/// # Errors
/// It has found nothing within `deadline`; the error carries the ends of the `logs`.
///
/// # Cancel safety
/// Cancel safe, if `look` is content with not being called again.
pub async fn eventually<T>(
    deadline: Duration,
    what: &str,
    logs: &[&Process],
    mut look: impl FnMut() -> Option<T>,
) -> Result<T, Error> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() >= end {
            let logs = logs.iter().map(|process| process.tail()).collect();
            return Err(Error::NotSeen { what: what.to_owned(), deadline, logs });
        }
        tokio::time::sleep(LOOK).await;
    }
}
