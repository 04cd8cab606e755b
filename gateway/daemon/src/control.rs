//! The control socket `<run dir>/control.sock`: one JSON request line in, JSON lines back, `"v":1`.
//!
//! Mode 0660, so that membership of the socket's group is the permission; there is no port. [`serve`] hands each request
//! to the daemon's loop and writes its answers; [`ask`] is the other end, for `curb status`, `tap`, `reload` and the field tools.
//!
//! ```text
//! → {"v":1,"op":"status"}
//! ← {"v":1,"ok":true,"answer":{…}}            one line; for tap and watch many, until the caller hangs up
//! ← {"v":1,"ok":false,"error":"…"}
//!
//! → {"v":1,"op":"probe","bus":"cabinet","probe":{"unit":3,"question":{"read":{"table":"holding","address":0,"quantity":2}},
//!    "settings":{"baud":9600,"parity":"none","stop":1},"timeout_ms":200,"hold_ms":0}}
//!                                             questions: read, "identify", "server-id", "listen"; the last three keys may lack
//! ← {"v":1,"ok":true,"answer":{"outcome":{"registers":[17254,13107]},"heard":"030304436633338F0C","took_us":21000}}
//! → {"v":1,"op":"write","point":"lamp/dim","value":50}
//! ← {"v":1,"ok":true,"answer":{"done":{"value":50,"proof":"read-back"}}}     or {"refused":{"word":"not-granted","why":"…"}}
//! → {"v":1,"op":"store-change","change":"release","rows":[17]}
//! ← {"v":1,"ok":true,"answer":{"v":1,"done":[17],"absent":[],"denied":[]}}
//! → {"v":1,"op":"watch","bus":"cabinet"}
//! ← {"v":1,"ok":true,"answer":{"ht":12345678000,"sent":true,"bytes":"030300000002C5E9","missed":0}}
//! ```

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cli::{CANNOT, DENIED, USAGE};
use crate::field::ProbeForm;
use crate::stored::{Change, Exported};

/// The socket's name in the run folder.
pub(crate) const SOCKET: &str = "control.sock";

/// The version of requests and answers.
const VERSION: u32 = 1;

/// A request is a few dozen bytes; more is somebody else's protocol.
const MAX_REQUEST: u64 = 4 * 1024;

/// A caller that does not say what it wants is hung up on: it keeps a place from somebody who does.
const REQUEST_PATIENCE: Duration = Duration::from_secs(1);

/// A caller that does not read what it asked for is hung up on.
const PATIENCE: Duration = Duration::from_secs(5);

/// Callers at once. An installer, a script and a dashboard are three; the rest wait in the listen queue.
const MAX_CALLERS: usize = 8;

/// Of these, taps, which stay: somebody must still be able to ask for the status.
pub(crate) const MAX_TAPS: usize = MAX_CALLERS / 2;

/// Answer lines under way to one caller. A tap whose caller reads slower than readings come loses lines and says how many.
pub(crate) const ANSWER_QUEUE: usize = 256;

/// Requests waiting for the daemon's loop; the callers wait with them.
pub(crate) const REQUEST_QUEUE: usize = MAX_CALLERS;

/// What a caller may ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub(crate) enum Op {
    /// What runs and what stands wrong.
    Status,
    /// Readings as they pass, until the caller hangs up.
    Tap {
        /// Where to listen.
        at: TapPoint,
        /// Patterns over point names; none is all. Messages of the uplink have no point names, so that none goes there.
        points: Vec<String>,
    },
    /// Read the config again and change what differs.
    Reload,
    /// Ask a unit one thing, between two polls.
    Probe {
        /// Name of the bus.
        bus: String,
        /// What to ask.
        probe: ProbeForm,
    },
    /// Write to a point that the config grants, before the next poll; read back.
    Write {
        /// `device/point`.
        point: String,
        /// What to write: a number, true or false, a text or a name; or a text that spells the number or bit.
        value: serde_json::Value,
    },
    /// The bytes on a bus as they pass, until the caller hangs up.
    Watch {
        /// Name of the bus.
        bus: String,
    },
    /// What is set aside, and what waits.
    StoreShow,
    /// Messages in full, one a line, and then a line that says that these were all.
    StoreExport {
        /// Which.
        what: Exported,
    },
    /// Put messages back that are set aside, or delete them.
    StoreChange {
        /// Which of the two.
        change: Change,
        /// Their rows. None: all.
        rows: Option<Vec<i64>>,
    },
}

/// Where on the way of a reading to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TapPoint {
    /// As they are read, before any plugin.
    Source,
    /// As they leave the plugins, on their way to the store.
    #[serde(alias = "store")]
    #[value(alias = "store")]
    Pipeline,
    /// Messages, as they are handed to the broker's connection; one more time after a reconnect.
    Uplink,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    v: u32,
    #[serde(flatten)]
    op: Op,
}

/// A request, and where its answers go. Dropping `answers` ends the call.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) op: Op,
    pub(crate) answers: mpsc::Sender<Answer>,
}

/// One line back.
#[derive(Debug)]
pub(crate) enum Answer {
    /// What was asked for, as JSON.
    Json(Box<RawValue>),
    /// Why not.
    Refused(String),
    /// Why not now: the same may be taken in a moment.
    Busy(String),
}

impl Answer {
    /// An answer from anything that serializes.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        match serde_json::value::to_raw_value(value) {
            Ok(raw) => Self::Json(raw),
            Err(error) => Self::Refused(format!("the answer could not be written: {error}")),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Line {
    v: u32,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    answer: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    error: Option<String>,
    /// Whether trying again may help.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    again: bool,
}

/// What can go wrong on either end of the socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("listen on {}", path.display())]
    Listen { path: PathBuf, source: io::Error },
    #[error("reach the daemon at {} (is `curb run` up, and are you in the socket's group?)", path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("talk to the daemon")]
    Talk(#[source] io::Error),
    #[error("understand the daemon's answer")]
    Answer(#[source] serde_json::Error),
    #[error("do that: {0}")]
    Refused(String),
    #[error("do that now: {0}")]
    Busy(String),
}

impl Error {
    /// The exit code of a command that ends with it. What is only not taken now is no wrong usage.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => DENIED,
            Self::Refused(_) => USAGE,
            Self::Busy(_) | Self::Connect { .. } | Self::Listen { .. } | Self::Talk(_) | Self::Answer(_) => CANNOT,
        }
    }
}

/// Makes the socket. A stale one from a daemon that was killed is replaced; a live one is not.
///
/// # Errors
/// Another daemon listens there, or the folder cannot be written.
pub(crate) fn listen(run_dir: &Path) -> Result<UnixListener, Error> {
    let path = run_dir.join(SOCKET);
    let error = |source| Error::Listen { path: path.clone(), source };
    if !run_dir.exists() {
        std::fs::create_dir_all(run_dir).map_err(error)?;
        // The socket is for the group as well.
        std::fs::set_permissions(run_dir, std::fs::Permissions::from_mode(0o750)).map_err(error)?;
    }
    if std::os::unix::net::UnixStream::connect(&path).is_ok() {
        return Err(error(io::Error::new(io::ErrorKind::AddrInUse, "another curb listens here")));
    }
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(error(source)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(error)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).map_err(error)?;
    Ok(listener)
}

/// Serves callers until the daemon's loop is gone.
///
/// # Cancel safety
/// Dropping it hangs up on every caller.
pub(crate) async fn serve(listener: UnixListener, requests: mpsc::Sender<Request>) {
    let mut callers = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if callers.len() < MAX_CALLERS => match accepted {
                Ok((stream, _)) => drop(callers.spawn(call(stream, requests.clone()))),
                Err(error) => {
                    tracing::warn!(%error, "control socket: accept failed");
                    tokio::time::sleep(PATIENCE).await;
                }
            },
            Some(_) = callers.join_next() => {}
            () = requests.closed() => return,
        }
    }
}

async fn call(mut stream: UnixStream, requests: mpsc::Sender<Request>) {
    let (reader, mut writer) = stream.split();
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader.take(MAX_REQUEST));
    let read = timeout(REQUEST_PATIENCE, reader.read_until(b'\n', &mut line)).await;
    let op = match read {
        Ok(Ok(_)) => parse(&line),
        Ok(Err(_)) | Err(_) => return,
    };
    let (answers, mut lines) = mpsc::channel(ANSWER_QUEUE);
    match op {
        Ok(op) => drop(requests.send(Request { op, answers }).await),
        // The only sender goes with it: the call ends behind this one line.
        Err(refusal) => refuse(answers, refusal),
    }
    let mut hung_up = [0_u8; 1];
    loop {
        let answer = tokio::select! {
            // What is there to say is said before anybody is hung up on.
            biased;
            answer = lines.recv() => answer,
            // A caller says nothing after its request: anything here, the end included, is it hanging up.
            _ = reader.read(&mut hung_up) => return,
        };
        let Some(answer) = answer else { return };
        let line = match answer {
            Answer::Json(answer) => Line { v: VERSION, ok: true, answer: Some(answer), error: None, again: false },
            Answer::Refused(error) => Line { v: VERSION, ok: false, answer: None, error: Some(error), again: false },
            Answer::Busy(error) => Line { v: VERSION, ok: false, answer: None, error: Some(error), again: true },
        };
        let mut bytes = serde_json::to_vec(&line).expect("text and raw JSON always serialize");
        bytes.push(b'\n');
        match timeout(PATIENCE, writer.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

fn refuse(answers: mpsc::Sender<Answer>, refusal: String) {
    answers.try_send(Answer::Refused(refusal)).expect("a new channel has room, and its reader is here");
}

fn parse(line: &[u8]) -> Result<Op, String> {
    if !line.ends_with(b"\n") {
        return Err(format!("not a request: expected one line of at most {MAX_REQUEST} bytes"));
    }
    let envelope: Envelope = serde_json::from_slice(line).map_err(|error| format!("not a request: {error}"))?;
    if envelope.v == VERSION { Ok(envelope.op) } else { Err(format!("request version {} is not 1", envelope.v)) }
}

/// The caller's end: asks, and yields answers line by line.
#[derive(Debug)]
pub(crate) struct Call {
    lines: tokio::io::Lines<BufReader<UnixStream>>,
}

/// Asks the daemon.
///
/// # Errors
/// No daemon answers at that socket.
///
/// # Cancel safety
/// Dropping it hangs up.
pub(crate) async fn ask(run_dir: &Path, op: Op) -> Result<Call, Error> {
    let path = run_dir.join(SOCKET);
    let mut stream = UnixStream::connect(&path).await.map_err(|source| Error::Connect { path, source })?;
    let mut bytes = serde_json::to_vec(&Envelope { v: VERSION, op }).expect("plain text members always serialize");
    bytes.push(b'\n');
    stream.write_all(&bytes).await.map_err(Error::Talk)?;
    Ok(Call { lines: BufReader::new(stream).lines() })
}

impl Call {
    /// The next answer; `None` when the daemon has said all.
    ///
    /// # Errors
    /// The daemon refuses, hangs up in the middle, or answers something else.
    ///
    /// # Cancel safety
    /// A line that was half read is kept for the next call.
    pub(crate) async fn next(&mut self) -> Result<Option<Box<RawValue>>, Error> {
        let Some(text) = self.lines.next_line().await.map_err(Error::Talk)? else {
            return Ok(None);
        };
        let line: Line = serde_json::from_str(&text).map_err(Error::Answer)?;
        match line.error {
            Some(why) if line.again => Err(Error::Busy(why)),
            Some(refusal) => Err(Error::Refused(refusal)),
            None => Ok(line.answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server whose loop answers each request with its own text.
    async fn with_server<T>(test: impl AsyncFnOnce(&Path) -> T) -> T {
        let folder = tempfile::TempDir::new().unwrap();
        let listener = listen(folder.path()).unwrap();
        let (requests_in, mut requests) = mpsc::channel::<Request>(REQUEST_QUEUE);
        let daemon = async {
            while let Some(Request { op, answers }) = requests.recv().await {
                answers.send(Answer::json(&format!("{op:?}"))).await.ok();
            }
        };
        tokio::select! {
            result = test(folder.path()) => result,
            () = serve(listener, requests_in) => unreachable!("the loop is there"),
            () = daemon => unreachable!("the server is there"),
        }
    }

    async fn raw(folder: &Path, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(folder.join(SOCKET)).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut text = String::new();
        BufReader::new(stream).read_line(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_request_is_answered_and_nonsense_is_refused_with_words() {
        with_server(async |folder: &Path| {
            let mut call = ask(folder, Op::Status).await.unwrap();
            assert_eq!(call.next().await.unwrap().unwrap().get(), "\"Status\"");
            assert!(call.next().await.unwrap().is_none(), "one answer, then the end");
            let check = async |request: &[u8], expected: &str| {
                let answer = raw(folder, request).await;
                assert!(answer.contains("\"ok\":false") && answer.contains(expected), "{answer}");
            };
            check(b"status\n", "not a request").await;
            check(b"{\"v\":2,\"op\":\"status\"}\n", "version 2").await;
            check(b"{\"v\":1,\"op\":\"format-disk\"}\n", "unknown variant").await;
            check(b"\xff\xfe\n", "not a request").await;
            check(&[b'x'; 4096], "one line").await;
            // Whoever was refused holds no place, even if it stays.
            let mut staying = Vec::new();
            for _ in 0..2 * MAX_CALLERS {
                let mut stream = UnixStream::connect(folder.join(SOCKET)).await.unwrap();
                stream.write_all(b"nonsense\n").await.unwrap();
                staying.push(stream);
            }
            assert!(ask(folder, Op::Status).await.unwrap().next().await.unwrap().is_some());
            let mut stream = UnixStream::connect(folder.join(SOCKET)).await.unwrap();
            // It may be hung up on before it has said all.
            stream.write_all(&[b'x'; 2 * 4096]).await.ok();
            let mut text = String::new();
            // The system throws the answer away if it hangs up on unread bytes: then reading fails.
            let read = BufReader::new(stream).read_line(&mut text).await;
            assert!(read.is_err() || text.contains("not a request"), "more than a request: {text}");
        })
        .await;
    }

    #[tokio::test]
    async fn the_socket_is_for_its_group_and_a_stale_one_is_replaced() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join(SOCKET);
        let first = listen(folder.path()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(matches!(listen(folder.path()), Err(Error::Listen { .. })), "a live one is not taken over");
        drop(first);
        assert!(path.exists(), "what a killed daemon leaves behind");
        listen(folder.path()).unwrap();
    }

    #[tokio::test]
    async fn without_a_daemon_the_error_says_what_to_look_at() {
        let folder = tempfile::TempDir::new().unwrap();
        let error = ask(folder.path(), Op::Status).await.unwrap_err();
        assert!(error.to_string().contains("is `curb run` up"), "{error}");
    }
}
