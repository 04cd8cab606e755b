//! Values with a notation of their own: names, durations, sizes, registers, addresses. Pure, one function each.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use curb_model::{Name, NameError};
use curb_source::Table;

use super::problem::{Misfit, did_you_mean, nearest};

/// A name of a site, bus, device, point or plugin.
pub(super) fn name(text: &str) -> Result<Name, Misfit> {
    Name::new(text).map_err(|error| {
        let misfit = Misfit::expected("a name: 1 to 32 of a-z, 0-9 and -");
        let lower: String = text.to_ascii_lowercase().replace(['_', ' ', '.'], "-");
        if let NameError::Reserved(word) = error {
            misfit.help(format!("{word:?} is a word that Curb keeps for itself"))
        } else if Name::new(&lower).is_ok() {
            misfit.help(format!("for example {lower:?}"))
        } else {
            misfit
        }
    })
}

/// A duration with its unit, within `bounds`.
pub(super) fn duration(text: &str, bounds: &RangeInclusive<Duration>) -> Result<Duration, Misfit> {
    let [least, most] = [bounds.start(), bounds.end()].map(|&bound| humantime::format_duration(bound));
    let misfit = Misfit::expected(format!("a duration from {least} to {most}"));
    let bare = text.parse::<f64>().is_ok();
    match humantime::parse_duration(text) {
        _ if bare && text.contains('.') => Err(misfit.help("add a unit, without a fraction: \"300ms\" for 0.3 s")),
        _ if bare => Err(misfit.help(format!("add a unit: \"{text}s\" or \"{text}ms\""))),
        Ok(duration) if bounds.contains(&duration) => Ok(duration),
        Ok(_) => Err(misfit),
        Err(_) => Err(misfit.help("whole numbers of ms, s, m, h and days: \"500ms\", \"1m 30s\"")),
    }
}

/// A number of bytes with its unit, within `bounds`.
pub(super) fn size(text: &str, bounds: &RangeInclusive<ByteSize>) -> Result<ByteSize, Misfit> {
    let [least, most] = [bounds.start(), bounds.end()].map(|bound| bound.to_string().replace(".0 ", " "));
    let misfit = Misfit::expected(format!("a size from {least} to {most}"));
    let bare = text.parse::<f64>().is_ok();
    match text.parse::<ByteSize>() {
        _ if bare => Err(misfit.help(format!("add a unit: \"{text} MiB\" or \"{text} KiB\""))),
        Ok(size) if bounds.contains(&size) => Ok(size),
        Ok(_) => Err(misfit),
        Err(_) => Err(misfit.help("units are KiB, MiB, GiB, kB, MB and GB")),
    }
}

const TABLES: [(&str, Table); 4] =
    [("holding", Table::Holding), ("input", Table::Input), ("coil", Table::Coil), ("discrete", Table::Discrete)];

/// `holding:100`: a table and an address from 0. The makers' five- and six-digit numbers, which count from 1 and begin
/// with the table's own digit, are refused, because half of the manuals mean something else by them.
pub(super) fn register(text: &str) -> Result<(Table, u16), Misfit> {
    let misfit =
        Misfit::expected("a register as table:address, from holding:0 to holding:65535 (or input, coil, discrete)");
    let Some((table, address)) = text.split_once(':') else {
        let help = match (numbered_from_one(text), text.parse::<u16>()) {
            (Some((table, address)), _) => format!("did you mean {table}:{address}?"),
            (None, Ok(_)) => format!("say which table: holding:{text}, input:{text}, coil:{text} or discrete:{text}"),
            (None, Err(_)) => return Err(misfit),
        };
        return Err(misfit.help(help));
    };
    let known = TABLES.iter().find(|(word, _)| *word == table);
    match (known, address.parse::<u16>()) {
        (Some(&(_, table)), Ok(address)) => Ok((table, address)),
        (None, Ok(_)) => {
            let near = nearest(table, TABLES.map(|(word, _)| word));
            Err(Misfit { help: near.map(|near| format!("did you mean {near}:{address}?")), ..misfit })
        }
        (_, Err(_)) if address.starts_with("0x") => Err(misfit.help("addresses are decimal")),
        (_, Err(_)) => Err(misfit),
    }
}

/// What `40101` means in most manuals: holding register 100.
fn numbered_from_one(text: &str) -> Option<(&'static str, u16)> {
    let (digit, number) = (text.get(..1)?, text.get(1..)?);
    let digits = number.bytes().all(|b| b.is_ascii_digit()) && matches!(number.len(), 4 | 5);
    let table = match digit {
        "0" => "coil",
        "1" => "discrete",
        "3" => "input",
        "4" => "holding",
        _ => return None,
    };
    let number: u32 = number.parse().ok().filter(|_| digits)?;
    Some((table, u16::try_from(number.checked_sub(1)?).ok()?))
}

/// `host:port`, the host a name, an IPv4 address, or an IPv6 address in brackets. Gives the host without brackets.
pub(super) fn host_port(text: &str, default_port: Option<u16>) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|&port| port != 0)?,
        None => default_port?,
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let fits = text.starts_with('[') || (host.chars().all(fits) && !host.is_empty() && host.len() <= 253);
    fits.then(|| (host.to_owned(), port))
}

/// `mqtts://host[:port]`.
pub(super) fn core_url(text: &str) -> Result<(String, u16), Misfit> {
    /// What IANA registered for MQTT over TLS.
    const PORT: u16 = 8883;
    let misfit = Misfit::expected("mqtts://host[:port]");
    let Some((scheme, rest)) = text.split_once("://") else {
        let help = host_port(text, Some(PORT)).map(|_| format!("did you mean \"mqtts://{text}\"?"));
        return Err(Misfit { help, ..misfit });
    };
    match scheme {
        "mqtts" => {}
        "mqtt" => {
            return Err(misfit.help("Curb speaks to the core over TLS only: mqtts://, usually port 8883"));
        }
        _ => {
            return Err(Misfit { help: did_you_mean(scheme, ["mqtts"]), ..misfit });
        }
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    host_port(rest, Some(PORT)).ok_or(misfit)
}
