//! CONNECT: asks an HTTP proxy to pass a connection on (RFC 9110, 9.3.6), and puts its refusals into words.
//!
//! [`request`] and [`answer`] are pure; [`tunnel`] carries them over. Behind a proxy the core's name is the proxy's to
//! resolve. Deliberately absent: TLS to the proxy itself, logins other than Basic, and asking twice on one connection.

use std::io;
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use crate::address::{Address, Login, Proxy};
use crate::lost::Lost;

/// Bytes of an answer's head at most. Proxies send some hundred; stops one that would fill the hub's memory.
const HEAD_MAX: usize = 16 * 1024;

/// Characters of a reason that are told. It comes from a stranger.
const REASON_MAX: usize = 60;

/// What is sent.
fn request(core: &Address, login: Option<&Login>) -> String {
    let login = login.map_or_else(String::new, |Login { user, password }| {
        format!("Proxy-Authorization: Basic {}\r\n", BASE64_STANDARD.encode(format!("{user}:{password}")))
    });
    format!("CONNECT {core} HTTP/1.1\r\nHost: {core}\r\n{login}\r\n")
}

/// What came back, as far as it has come.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// Not yet enough to tell.
    More,
    /// The proxy is out of the way: what comes next is the core's.
    Passes,
    /// It says no.
    Refused { code: u16, reason: String },
    /// This is no answer of an HTTP proxy.
    Foreign,
}

fn answer(head: &[u8]) -> Answer {
    const VERSION: &[u8] = b"HTTP/1.";
    let seen = head.len().min(VERSION.len());
    if head[..seen] != VERSION[..seen] || head.len() > HEAD_MAX {
        return Answer::Foreign;
    }
    let Some(end) = head.iter().position(|byte| *byte == b'\n') else { return Answer::More };
    let line = String::from_utf8_lossy(&head[..end]);
    let mut words = line.trim_end().splitn(3, ' ').skip(1);
    let code = words.next().filter(|code| code.len() == 3).and_then(|code| code.parse::<u16>().ok());
    match code {
        None => Answer::Foreign,
        Some(200..=299) if head.ends_with(b"\r\n\r\n") || head.ends_with(b"\n\n") => Answer::Passes,
        // A core of TLS does not speak first: what comes behind the head already is not from it.
        Some(200..=299) if contains(head, b"\r\n\r\n") || contains(head, b"\n\n") => Answer::Foreign,
        Some(200..=299) => Answer::More,
        Some(code) => {
            let told = |c: &char| c.is_ascii_graphic() || *c == ' ';
            Answer::Refused { code, reason: words.next().unwrap_or("").chars().filter(told).take(REASON_MAX).collect() }
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Words for a refusal.
fn refused(code: u16, reason: &str, proxy: &Proxy, core: &Address) -> Lost {
    let at = &proxy.address;
    let said = format!("{code} {reason}");
    let said = said.trim_end();
    match code {
        // RFC 9110 wants 407; tinyproxy says 401 to a wrong password.
        401 | 407 if proxy.login.is_some() => {
            let detail = format!("the proxy {at} does not take the user and the password of core.proxy ({said})");
            Lost::new("proxy-login", detail)
        }
        401 | 407 => Lost::new(
            "proxy-login",
            format!(
                "the proxy {at} wants a user and a password ({said}): core.proxy = \"http://user:password@host:port\""
            ),
        ),
        500..=599 => Lost::new("proxy-cannot-reach", format!("the proxy {at} does not get through to {core} ({said})")),
        _ => Lost::new(
            "proxy-refuses",
            format!("the proxy {at} does not pass connections on to {core} ({said}); it has to allow CONNECT there"),
        ),
    }
}

/// Has the proxy at the other end of `tcp` pass the connection on to `core`.
///
/// # Cancel safety
/// What was said by then is lost: the connection is of no use any more.
pub(super) async fn tunnel(tcp: &mut TcpStream, proxy: &Proxy, core: &Address, deadline: Instant) -> Result<(), Lost> {
    let at = &proxy.address;
    let head = match timeout_at(deadline.into(), ask(tcp, &request(core, proxy.login.as_ref()))).await {
        Ok(Ok(head)) => head,
        Ok(Err(error)) => {
            return Err(Lost::new("proxy-unreachable", format!("the proxy {at} ended the connection ({error})")));
        }
        Err(_) => {
            let detail = format!("the proxy {at} does not answer to CONNECT in time; is it an HTTP proxy?");
            return Err(Lost::new("proxy-silent", detail));
        }
    };
    match head {
        Answer::Passes => Ok(()),
        Answer::Refused { code, reason } => Err(refused(code, &reason, proxy, core)),
        Answer::More => {
            let detail = format!("the proxy {at} closed the connection instead of answering to CONNECT");
            Err(Lost::new("proxy-silent", detail))
        }
        Answer::Foreign => {
            Err(Lost::new("proxy-not-http", format!("what answers at {at} is no HTTP proxy; check core.proxy")))
        }
    }
}

/// Sends the request and reads until the answer is clear, or the proxy has closed.
async fn ask(tcp: &mut TcpStream, request: &str) -> io::Result<Answer> {
    tcp.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    loop {
        let read = tcp.read_buf(&mut head).await?;
        let answer = answer(&head);
        if answer != Answer::More || read == 0 {
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests;
