//! Values with a notation of their own: names, durations, sizes, registers, addresses. Pure, one function each.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use curb_model::{Name, NameError, ValueType};
use curb_source::{Bits, Encoding, Half, Table};
use curb_uplink::Address;

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
        _ if bare => Err(misfit.help(format!("add a unit: {}", with_unit(text, bounds)))),
        Ok(duration) if bounds.contains(&duration) => Ok(duration),
        Ok(_) => Err(misfit),
        Err(_) => Err(misfit.help("whole numbers of ms, s, m, h and days: \"500ms\", \"1m 30s\"")),
    }
}

/// What a bare number may have meant: of seconds and milliseconds those that would be allowed.
fn with_unit(number: &str, bounds: &RangeInclusive<Duration>) -> String {
    let both = ["s", "ms"].map(|unit| format!("{number}{unit}"));
    let fits = |text: &&String| humantime::parse_duration(text).is_ok_and(|duration| bounds.contains(&duration));
    let fitting: Vec<&String> = both.iter().filter(fits).collect();
    let meant = if fitting.is_empty() { both.iter().collect() } else { fitting };
    meant.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(" or ")
}

/// A number of bytes with its unit, within `bounds`.
pub(super) fn size(text: &str, bounds: &RangeInclusive<ByteSize>) -> Result<ByteSize, Misfit> {
    let [least, most] = [bounds.start(), bounds.end()].map(|bound| bound.to_string().replace(".0 ", " "));
    let misfit = Misfit::expected(format!("a size from {least} to {most}"));
    let bare = text.trim().parse::<f64>().is_ok();
    match text.parse::<ByteSize>() {
        _ if bare => Err(misfit.help(size_with_unit(text.trim(), bounds))),
        Ok(size) if bounds.contains(&size) => Ok(size),
        Ok(_) => Err(misfit),
        Err(_) => Err(misfit.help(SIZE_UNITS)),
    }
}

const SIZE_UNITS: &str = "units are KiB, MiB, GiB, kB, MB and GB";

/// What a size without a unit may have meant, as far as that fits, and what else there is.
fn size_with_unit(number: &str, bounds: &RangeInclusive<ByteSize>) -> String {
    let units = ["MiB", "KiB", "GiB"].map(|unit| format!("{number} {unit}"));
    let fits = |text: &&String| text.parse::<ByteSize>().is_ok_and(|size| bounds.contains(&size));
    match units.iter().find(fits) {
        Some(meant) => format!("add a unit, as in {meant:?}; {SIZE_UNITS}"),
        None => SIZE_UNITS.to_owned(),
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

/// The types of numbers, by their words.
pub(crate) const ENCODINGS: [(&str, Encoding); 16] = [
    ("bool", Encoding::Bool),
    ("u8", Encoding::U8(Half::Low)),
    ("i8", Encoding::I8(Half::Low)),
    ("u16", Encoding::U16),
    ("i16", Encoding::I16),
    ("u24", Encoding::U24),
    ("i24", Encoding::I24),
    ("u32", Encoding::U32),
    ("i32", Encoding::I32),
    ("u64", Encoding::U64),
    ("i64", Encoding::I64),
    ("f32", Encoding::F32),
    ("f64", Encoding::F64),
    ("bcd16", Encoding::Bcd16),
    ("bcd32", Encoding::Bcd32),
    ("bcd64", Encoding::Bcd64),
];

/// What is expected where a type stands.
pub(super) const TYPES: &str = "a type: bool, u8, i8, u16, i16, u24, i24, u32, i32, u64, i64, f32, f64, bcd16, bcd32, \
    bcd64 or text:N with N bytes";

/// `u16`, `f32`, `text:20`: how a value lies in registers or bytes. A byte is the lower one, until `byte` says otherwise.
pub(super) fn encoding(text: &str) -> Result<Encoding, Misfit> {
    if let Some((_, encoding)) = ENCODINGS.iter().find(|(word, _)| *word == text) {
        return Ok(*encoding);
    }
    if let Some(len) = text.strip_prefix("text:") {
        let len = len.parse().ok().filter(|len| (1..=128).contains(len));
        return len.map(Encoding::Text).ok_or_else(|| Misfit::expected("a text of 1 to 128 bytes: text:1 to text:128"));
    }
    let misfit = Misfit::expected(TYPES);
    Err(match foreign_type(text) {
        Some("text") => misfit.help("say how many bytes it has: text:20 lies in 10 registers"),
        Some(word) => misfit.help(format!("did you mean {word:?}?")),
        None => misfit,
    })
}

/// What is expected where the type of a piece of text stands.
pub(super) const TEXT_TYPES: &str = "a type: bool, u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, text";

/// `u16`, `f64`, `text`: what a piece of text stands for.
pub(super) fn text_type(text: &str) -> Result<ValueType, Misfit> {
    const TYPES: [(&str, ValueType); 12] = [
        ("bool", ValueType::Bool),
        ("u8", ValueType::U8),
        ("i8", ValueType::I8),
        ("u16", ValueType::U16),
        ("i16", ValueType::I16),
        ("u32", ValueType::U32),
        ("i32", ValueType::I32),
        ("u64", ValueType::U64),
        ("i64", ValueType::I64),
        ("f32", ValueType::F32),
        ("f64", ValueType::F64),
        ("text", ValueType::Text),
    ];
    if let Some((_, value_type)) = TYPES.iter().find(|(word, _)| *word == text) {
        return Ok(*value_type);
    }
    let words = TYPES.map(|(word, _)| word);
    let misfit = Misfit::expected(TEXT_TYPES);
    let near = foreign_type(text).filter(|near| words.contains(near));
    let near = near.or_else(|| text.starts_with("text:").then_some("text"));
    Err(Misfit { help: near.map(|near| format!("did you mean {near:?}?")), ..misfit })
}

/// What a type is called here that has another name in other tools and manuals.
fn foreign_type(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase().replace(['_', ' ', '-'], "");
    let word = match lower.as_str() {
        "float" | "float32" | "single" | "real" | "ieee754" => "f32",
        "double" | "float64" | "lreal" => "f64",
        "bit" | "boolean" | "coil" => "bool",
        "byte" | "uint8" | "usint" => "u8",
        "int8" | "sint" | "s8" | "char" => "i8",
        "word" | "uint" | "uint16" | "ushort" | "unsigned" => "u16",
        "int" | "int16" | "short" | "s16" | "signed" => "i16",
        "s24" | "int24" => "i24",
        "uint24" => "u24",
        "dword" | "uint32" | "udint" | "ulong" => "u32",
        "dint" | "int32" | "s32" | "long" => "i32",
        "qword" | "uint64" | "ulint" => "u64",
        "int64" | "s64" | "lint" => "i64",
        "bcd" => "bcd16",
        "string" | "str" | "text" | "ascii" | "utf8" => "text",
        _ => return nearest(&lower, ENCODINGS.map(|(word, _)| word)),
    };
    Some(word)
}

/// Bytes, as text (`"\n"`, `"R?\r"`) or in hexadecimal digits behind `0x` (`"0x424D"`, `"0xFF 01 86"`), at most `most`.
pub(super) fn bytes(text: &str, most: usize) -> Result<Vec<u8>, Misfit> {
    let misfit = Misfit::expected(format!("1 to {most} bytes, as text or in hexadecimal: \"\\n\", \"0x0D0A\""));
    let bytes = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        None => text.as_bytes().to_vec(),
        Some(digits) => {
            let digits: Vec<char> = digits.chars().filter(|digit| *digit != ' ').collect();
            let byte = |pair: &[char]| match pair {
                [high, low] => u8::try_from(high.to_digit(16)? << 4 | low.to_digit(16)?).ok(),
                _ => None,
            };
            let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
            bytes.ok_or_else(|| misfit.clone().help("two hexadecimal digits are a byte"))?
        }
    };
    if (1..=most).contains(&bytes.len()) { Ok(bytes) } else { Err(misfit) }
}

/// `/sensors/0/pm25`: a pointer into a JSON document (RFC 6901). The whole document is the empty one.
pub(super) fn pointer(text: &str) -> Result<String, Misfit> {
    let misfit = Misfit::expected("a JSON pointer, such as \"/sensors/0/pm25\"");
    if !text.is_empty() && !text.starts_with('/') {
        return Err(misfit.help(format!("did you mean \"/{}\"?", text.replace(['.', '['], "/").replace(']', ""))));
    }
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if escapes { Ok(text.to_owned()) } else { Err(misfit.help("~0 stands for ~, and ~1 for /")) }
}

/// `WIMWV:1`: a sentence of NMEA 0183, by its whole address or by its formatter alone, and a field of it from 1.
pub(super) fn nmea_field(text: &str) -> Result<(String, u16), Misfit> {
    let misfit = Misfit::expected("a sentence and a field of it, from 1, such as \"WIMWV:1\" or \"RMC:7\"");
    let Some((sentence, field)) = text.split_once(':') else { return Err(misfit) };
    let field = field.parse().ok().filter(|field| (1..=99).contains(field));
    let upper = sentence.to_ascii_uppercase();
    let fits = (3..=16).contains(&upper.len()) && upper.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match field {
        Some(field) if fits && upper == sentence => Ok((upper, field)),
        Some(field) if fits => Err(misfit.help(format!("did you mean \"{upper}:{field}\"?"))),
        Some(_) | None => Err(misfit),
    }
}

/// `3`, one bit, or `4..7`, both ends included; bit 0 is the least significant.
pub(super) fn bits(text: &str) -> Result<Bits, Misfit> {
    let misfit = Misfit::expected("a bit \"3\" or bits \"4..7\", counted from 0, the least significant");
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    match (first.trim().parse::<u8>(), last.trim().parse::<u8>()) {
        (Ok(first), Ok(last)) if first <= last && last < 64 => Ok(Bits { first, width: last - first + 1 }),
        (Ok(first), Ok(last)) if last < first => Err(misfit.help(format!("did you mean \"{last}..{first}\"?"))),
        _ => Err(misfit),
    }
}

/// A raw number as the key of an enumeration: decimal, or hexadecimal with 0x. A negative one is in two's complement of
/// `width` bits.
pub(super) fn raw(text: &str, width: u8) -> Option<u64> {
    let most = if width >= 64 { u64::MAX } else { (1 << width) - 1 };
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => digits.parse().ok()?,
    };
    if negative {
        (number > 0 && number <= most / 2 + 1).then(|| number.wrapping_neg() & most)
    } else {
        (number <= most).then_some(number)
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
pub(super) fn core_url(text: &str) -> Result<Address, Misfit> {
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
    host_port(rest, Some(PORT)).map(|(host, port)| Address { host, port }).ok_or(misfit)
}
