//! `core.proxy`: how it is written, and what of it may be shown. Pure.
//!
//! It is the one setting that may hold a secret. What shows settings or their faults shows it by [`shown`], and an
//! argument of the command line by [`without_value`]; `last_good` alone keeps it as it is, in a file of its owner's.

use curb_uplink::{Address, Login, Proxy};
use serde_json::Value;

use super::notation::host_port;
use super::problem::Misfit;

/// What stands for a value that is not shown.
pub(super) const HIDDEN: &str = "***";

/// Whether a password may stand at this key.
pub(super) fn is_secret(key: &[String]) -> bool {
    key.len() >= 2 && key[0] == "core" && key[1] == "proxy"
}

/// The setting as it may be shown: without user and password, and not at all if it is no address of a proxy.
pub(super) fn shown(value: &Value) -> Value {
    let text = value.as_str().and_then(|text| proxy(text).ok()).map(|Proxy { address, login }| {
        let login = login.map_or_else(String::new, |_| format!("{HIDDEN}@"));
        format!("http://{login}{address}")
    });
    text.unwrap_or_else(|| HIDDEN.to_owned()).into()
}

/// An argument of `--set` as it may be shown: of one that may be about the proxy, its key.
pub(super) fn without_value(argument: &str) -> String {
    if !argument.contains("proxy") {
        return argument.to_owned();
    }
    let key = argument.split_once('=').map(|(key, _)| key.trim());
    let key = key.filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '.'));
    key.map_or_else(|| HIDDEN.to_owned(), |key| format!("{key}={HIDDEN}"))
}

/// `http://[user:password@]host:port`. Of a user and a password what is no letter or digit may be written as %40.
pub(super) fn proxy(text: &str) -> Result<Proxy, Misfit> {
    let misfit = Misfit::expected("http://[user:password@]host:port");
    let Some(rest) = text.strip_prefix("http://") else {
        let help = "Curb asks the proxy itself over plain HTTP; what goes through it is TLS between hub and core";
        return Err(if text.starts_with("https://") { misfit.help(help) } else { misfit });
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
    let Some((host, port)) = host_port(place, None) else {
        return Err(misfit.help("with its port, often 3128 or 8080"));
    };
    let login = match login {
        None => None,
        Some(login) => {
            let parts = login.split_once(':').and_then(|(user, password)| Some((decoded(user)?, decoded(password)?)));
            let login = parts.filter(|(user, _)| !user.is_empty() && !user.contains(':'));
            let help =
                "user and password have a colon between them, and what is no letter or digit in them is written as %40";
            let (user, password) = login.ok_or_else(|| misfit.help(help))?;
            Some(Login { user, password })
        }
    };
    Ok(Proxy { address: Address { host, port }, login })
}

/// Text with its percent signs read. None if it has a wrong one, or a character that would end a line.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        bytes.push(match (first, more) {
            (b'%', [high, low, ..]) => {
                rest = &more[2..];
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                u8::try_from(digit(high)? << 4 | digit(low)?).ok()?
            }
            (b'%', _) => return None,
            (byte, _) => *byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control))
}
