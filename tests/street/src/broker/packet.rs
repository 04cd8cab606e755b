//! Packets of MQTT 5 (OASIS, 2019) as a broker for hubs and ingesters reads and writes them. Pure.
//!
//! Hub and ingester both speak through rumqttc: here is other code, so that its mistakes do not meet themselves. And a
//! broker that misbehaves needs bytes which no good codec writes. Deliberately absent: `QoS` 2, wills, topic aliases, and
//! any meaning of properties but the receive maximum; those of a PUBLISH are passed on as they came.

/// Bytes of a packet at most. Far above what a hub makes; stops a length that is no length.
const LONGEST: usize = 4 << 20;

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Packet {
    Connect(Connect),
    Publish(Publish),
    PubAck { id: u16 },
    Subscribe { id: u16, filters: Vec<String> },
    PingReq,
    Disconnect,
}

/// CONNECT, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connect {
    pub(super) client: String,
    /// Whether it wants no session from before.
    pub(super) clean_start: bool,
    /// Publishes that it takes before it has acknowledged any.
    pub(super) receive_max: u16,
}

/// PUBLISH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Publish {
    pub(super) topic: String,
    /// With `QoS` 1.
    pub(super) id: Option<u16>,
    /// Without their length.
    pub(super) properties: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

/// What is no packet that a client of ours may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a packet that begins with 0x{first:02x} cannot be read")]
pub(super) struct Unreadable {
    /// Its first byte.
    pub(super) first: u8,
}

/// Takes a whole packet and its length on the wire off the front of what has been read, if it is there.
pub(super) fn take(buffer: &mut Vec<u8>) -> Result<Option<(Packet, usize)>, Unreadable> {
    let Some(&first) = buffer.first() else { return Ok(None) };
    let unreadable = Unreadable { first };
    let mut rest = Body(&buffer[1..]);
    let Some(length) = rest.length() else {
        return if buffer.len() > 4 { Err(unreadable) } else { Ok(None) };
    };
    let end = buffer.len() - rest.0.len() + length;
    if end > LONGEST {
        return Err(unreadable);
    }
    if buffer.len() < end {
        return Ok(None);
    }
    let packet = rest.take(length).and_then(|body| parse(first, Body(body))).ok_or(unreadable)?;
    buffer.drain(..end);
    Ok(Some((packet, end)))
}

/// Whether what has been read ends inside a PUBLISH.
pub(super) fn ends_inside_publish(buffer: &[u8]) -> bool {
    buffer.first().is_some_and(|first| first >> 4 == 3)
}

fn parse(first: u8, mut body: Body<'_>) -> Option<Packet> {
    Some(match (first >> 4, first & 0x0F) {
        (1, 0) => Packet::Connect(connect(body)?),
        (3, flags) => {
            let topic = body.text()?;
            let id = match flags >> 1 & 3 {
                0 => None,
                1 => Some(body.u16()?),
                _ => return None,
            };
            let length = body.length()?;
            let properties = body.take(length)?.to_vec();
            Packet::Publish(Publish { topic, id, properties, payload: body.0.to_vec() })
        }
        (4, 0) => Packet::PubAck { id: body.u16()? },
        (8, 2) => {
            let id = body.u16()?;
            let length = body.length()?;
            body.take(length)?;
            let mut filters = Vec::new();
            while !body.0.is_empty() {
                filters.push(body.text()?);
                body.take(1)?;
            }
            Packet::Subscribe { id, filters }
        }
        (12, 0) => Packet::PingReq,
        (14, 0) => Packet::Disconnect,
        _ => return None,
    })
}

fn connect(mut body: Body<'_>) -> Option<Connect> {
    if body.text()? != "MQTT" || body.take(1)? != [5] {
        return None;
    }
    let flags = body.take(1)?[0];
    // Keep-alive: a broker that minds it would only hide what the hub does about silence.
    body.u16()?;
    let length = body.length()?;
    let mut properties = Body(body.take(length)?);
    let mut receive_max = u16::MAX;
    while let Some(&[property]) = properties.take(1) {
        match property {
            0x11 | 0x27 => drop(properties.take(4)?),
            0x21 => receive_max = properties.u16()?,
            0x22 => drop(properties.u16()?),
            0x17 | 0x19 => drop(properties.take(1)?),
            0x15 | 0x16 => drop(properties.bytes()?),
            0x26 => drop((properties.bytes()?, properties.bytes()?)),
            _ => return None,
        }
    }
    Some(Connect { client: body.text()?, clean_start: flags & 2 != 0, receive_max })
}

/// CONNACK that takes the client in.
pub(super) fn connack(session_present: bool, receive_max: Option<u16>, packet_max: Option<u32>) -> Vec<u8> {
    let mut properties = Vec::new();
    if let Some(max) = receive_max {
        properties.push(0x21);
        properties.extend(max.to_be_bytes());
    }
    if let Some(max) = packet_max {
        properties.push(0x27);
        properties.extend(max.to_be_bytes());
    }
    packet(0x20, &[&[u8::from(session_present), 0], &length(properties.len())[..], &properties])
}

/// PUBACK with any code, defined or not.
pub(super) fn puback(id: u16, code: u8) -> Vec<u8> {
    packet(0x40, &[&id.to_be_bytes(), &[code]])
}

/// SUBACK that grants `QoS` 1 to so many filters.
pub(super) fn suback(id: u16, filters: usize) -> Vec<u8> {
    packet(0x90, &[&id.to_be_bytes(), &[0], &vec![1; filters]])
}

/// PINGRESP.
pub(super) fn pingresp() -> Vec<u8> {
    packet(0xD0, &[])
}

/// DISCONNECT with this reason.
pub(super) fn disconnect(code: u8) -> Vec<u8> {
    packet(0xE0, &[&[code]])
}

/// PUBLISH with `QoS` 1.
pub(super) fn publish(message: &Publish, id: u16) -> Vec<u8> {
    let Publish { topic, properties, payload, .. } = message;
    let topic_length = u16::try_from(topic.len()).unwrap_or(u16::MAX).to_be_bytes();
    let lengths = length(properties.len());
    packet(0x32, &[&topic_length, topic.as_bytes(), &id.to_be_bytes(), &lengths, properties, payload])
}

fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&[first], &length(body.len())[..], &body].concat()
}

/// A variable byte integer (1.5.5).
fn length(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(value % 128).unwrap_or_default();
        value /= 128;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

/// What is left of a packet. `None` stands for a packet that ends too soon.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn length(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.take(1)?[0];
            value |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}
