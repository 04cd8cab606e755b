//! The host as a process: started or reached, spoken with, ended.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::config::{EXPLAIN, HOST, HostCommand};
use crate::host::explains;
use crate::link::{FromHost, LinkError, take_frame};

/// Time for the host to end by itself at the end of its input: a call in progress ends by its own limit.
const END: Duration = Duration::from_secs(1);

/// A running host.
pub(crate) struct Process {
    /// `None`: somebody else has started it, and it ends when we hang up.
    child: Option<Child>,
    input: Box<dyn AsyncWrite + Send + Unpin>,
    output: Box<dyn AsyncRead + Send + Unpin>,
    /// What was read and is no whole frame yet. Bounded by one frame and one read.
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process")
            .field("child", &self.child)
            .field("buffer", &self.buffer.len())
            .finish_non_exhaustive()
    }
}

/// What came of waiting for the host.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Bytes: see [`Process::next_message`].
    Something,
    /// It took so many bytes of what it is to be told.
    Took(usize),
    /// It is gone, or might as well be.
    Gone,
}

impl Process {
    /// Reaches the host that waits behind a socket, or starts one: no environment, no open files but the link and standard
    /// error, and no folder that could be in use.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) async fn start(command: &HostCommand) -> io::Result<Self> {
        if let Some(socket) = &command.socket {
            let (output, input) = UnixStream::connect(socket).await?.into_split();
            return Ok(Self { child: None, input: Box::new(input), output: Box::new(output), buffer: Vec::new() });
        }
        let mut child = Command::new(&command.exe)
            .arg(HOST)
            .args(explains().then_some(EXPLAIN))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            // A Ctrl-C at the daemon's terminal is the daemon's: it ends the host when it has drained it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().expect("it was asked for");
        let output = child.stdout.take().expect("it was asked for");
        Ok(Self { child: Some(child), input: Box::new(input), output: Box::new(output), buffer: Vec::new() })
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Waits until the host says something, or takes some of `to_host`.
    ///
    /// # Cancel safety
    /// Cancel safe: bytes that were read are in the buffer, bytes that were taken are told of.
    pub(crate) async fn wait(&mut self, to_host: &[u8]) -> Heard {
        let Self { input, output, buffer, .. } = self;
        tokio::select! {
            read = output.read_buf(buffer) => match read {
                Ok(0) | Err(_) => Heard::Gone,
                Ok(_) => Heard::Something,
            },
            wrote = input.write(to_host), if !to_host.is_empty() => match wrote {
                Ok(0) | Err(_) => Heard::Gone,
                Ok(n) => Heard::Took(n),
            },
        }
    }

    /// The next whole message that was read.
    ///
    /// # Errors
    /// The host sends what is no message. It cannot be spoken with any more.
    pub(crate) fn next_message(&mut self) -> Result<Option<FromHost>, LinkError> {
        take_frame(&mut self.buffer)
    }

    /// Ends the host's input and waits for it; one that does not end by itself is killed.
    pub(crate) async fn end(self) {
        let Self { child, input, mut output, .. } = self;
        drop(input);
        let Some(mut child) = child else {
            // It hangs up when it ends; its words are of no interest any more.
            let mut nowhere = tokio::io::sink();
            let gone = tokio::io::copy(&mut output, &mut nowhere);
            return drop(tokio::time::timeout(END, gone).await);
        };
        if tokio::time::timeout(END, child.wait()).await.is_err() {
            kill(&mut child).await;
        }
        drop(output);
    }

    /// Kills the host, if it is not dead yet. One that somebody else has started is hung up on: it ends with its input.
    pub(crate) async fn kill(mut self) {
        if let Some(child) = &mut self.child {
            kill(child).await;
        }
    }
}

async fn kill(child: &mut Child) {
    drop(child.start_kill());
    // A killed process that is not reaped in this time hangs in the kernel; waiting longer would hang us as well.
    drop(tokio::time::timeout(END, child.wait()).await);
}
