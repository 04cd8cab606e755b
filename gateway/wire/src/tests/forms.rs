//! Every form of a message says the same, and none of them can hurt its reader.

use super::*;
use crate::Error;
use crate::senml::{Compress, Encoding, Form, INFLATED_MAX, Pack, content_type};

const JSON: Form = Form { encoding: Encoding::Json, compress: Compress::None };
const CBOR: Form = Form { encoding: Encoding::Cbor, compress: Compress::None };
const JSON_ZLIB: Form = Form { encoding: Encoding::Json, compress: Compress::Deflate };
const CBOR_ZLIB: Form = Form { encoding: Encoding::Cbor, compress: Compress::Deflate };
const FORMS: [Form; 4] = [JSON, CBOR, JSON_ZLIB, CBOR_ZLIB];

const GOLDEN: [(&str, Form, Option<&str>); 4] = [
    ("data.senml.json", JSON, None),
    ("data.senml.cbor", CBOR, Some("application/senml+cbor")),
    ("data.senml.json.zlib", JSON_ZLIB, Some("application/zlib")),
    ("data.senml.cbor.zlib", CBOR_ZLIB, Some("application/zlib")),
];

fn without_units(mut pack: Pack) -> Pack {
    pack.records.iter_mut().for_each(|record| record.unit = None);
    pack
}

fn golden_file(name: &str) -> Vec<u8> {
    let path = golden_path(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()))
}

fn all_causes(error: &Error) -> String {
    std::error::Error::source(error).map_or(error.to_string(), |source| format!("{error}: {source}"))
}

#[test]
fn senml_cbor_of_version_1_is_golden() {
    golden("data.senml.cbor", &senml::encode(&header(), &batch(Some(OFFSET), readings()), CBOR));
    golden("undated.senml.cbor", &senml::encode(&header(), &batch(None, readings()), CBOR));
}

/// Which bytes a compressor makes of a document is its own affair; that they can be read is not.
#[test]
fn every_golden_form_says_the_same() {
    let said = without_units(senml::decode(&golden_file("data.senml.json")).unwrap());
    for (name, form, expected_type) in GOLDEN {
        if form.compress == Compress::Deflate && !golden_path(name).exists() {
            golden(name, &senml::encode(&header(), &batch(Some(OFFSET), readings()), form));
        }
        let bytes = golden_file(name);
        assert_eq!(without_units(senml::decode(&bytes).unwrap()), said, "{name}");
        assert_eq!(content_type(&bytes), expected_type, "{name}");
    }
    let undated = |name| without_units(senml::decode(&golden_file(name)).unwrap());
    assert_eq!(undated("undated.senml.cbor"), undated("undated.senml.json"));
}

/// A message of one reading, of which the bytes of the value are `value`.
fn cbor_with(value: &[u8]) -> Vec<u8> {
    let one = reading(&point("meter/state", None, ValueType::U16), 0, Sample::Good(Value::U64(0)));
    let mut bytes = senml::encode(&header(), &batch(Some(OFFSET), vec![one]), CBOR);
    assert_eq!(bytes.pop(), Some(0));
    bytes.extend_from_slice(value);
    bytes
}

#[test]
fn numbers_take_the_fewest_bytes_that_are_exact() {
    let check = |x: f64, expected: &[u8]| {
        let one = reading(&point("meter/state", None, ValueType::F64), 0, Sample::Good(Value::from_f64(x).unwrap()));
        let bytes = senml::encode(&header(), &batch(Some(OFFSET), vec![one]), CBOR);
        assert_eq!(bytes[bytes.len() - expected.len()..], *expected, "{x}: {bytes:x?}");
        let got = senml::decode(&bytes).unwrap().records[0].sample.value().unwrap().as_f64().unwrap();
        assert_eq!(got.to_bits(), x.to_bits(), "{x}");
    };
    check(12.0, &[0x02, 12]);
    check(-12.0, &[0x02, 0x2b]);
    check(0.5, &[0x02, 0xc4, 0x82, 0x20, 5]);
    check(230.1, &[0x02, 0xc4, 0x82, 0x20, 0x19, 0x08, 0xfd]);
    check(-0.077, &[0x02, 0xc4, 0x82, 0x22, 0x38, 0x4c]);
    check(0.125, &[0x02, 0xfa, 0x3e, 0, 0, 0]);
    check(f64::from(230.1_f32), &[&[0x02, 0xfa][..], &230.1_f32.to_be_bytes()].concat());
    check(-0.0, &[0x02, 0xfa, 0x80, 0, 0, 0]);
    check(1e300, &[&[0x02, 0xfb][..], &1e300_f64.to_be_bytes()].concat());
    check(std::f64::consts::PI, &[&[0x02, 0xfb][..], &std::f64::consts::PI.to_be_bytes()].concat());
}

#[test]
fn numbers_of_another_encoder_are_read() {
    let check = |value: &[u8], expected: Value| {
        let pack = senml::decode(&cbor_with(value)).unwrap();
        assert_eq!(pack.records[0].sample, Sample::Good(expected), "{value:x?}");
    };
    let float = |x| Value::from_f64(x).unwrap();
    check(&[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Value::U64(u64::MAX));
    check(&[0x3b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Value::I64(i64::MIN));
    check(&[0xf9, 0x3e, 0x00], float(1.5));
    check(&[0xf9, 0xc4, 0x00], float(-4.0));
    check(&[0xf9, 0x00, 0x01], float(2_f64.powi(-24)));
    check(&[0xf9, 0x7b, 0xff], float(65_504.0));
    check(&[0xc4, 0x82, 0x03, 0x05], float(5_000.0));
    check(&[0xc4, 0x82, 0x3a, 0x7f, 0xff, 0xff, 0xff, 0x05], float(0.0));
}

#[test]
fn cbor_that_is_not_ours_is_refused_with_its_place() {
    let check = |bytes: &[u8], expected: &str| {
        let text = all_causes(&senml::decode(bytes).unwrap_err());
        assert!(text.contains(expected), "{text} should contain {expected}");
    };
    let value = |bytes: &[u8], expected: &str| check(&cbor_with(bytes), expected);
    check(&[0x80], "at least one record");
    check(&[0x81], "end of input");
    check(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xa0], "hub");
    check(&[0x81, 0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "end of input");
    check(&[0x81, 0x01], "expected map");
    check(&[0x81, 0xa1, 0x20, 0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "end of input");
    value(&[0xf9, 0x7c, 0x00], "no finite number");
    value(&[0xf9, 0x7e, 0x00], "no finite number");
    value(&[0xfb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0], "no finite number");
    value(&[0xc4, 0x82, 0x1a, 0x7f, 0xff, 0xff, 0xff, 0x05], "no finite number");
    value(&[0xc4, 0x83, 0x01, 0x01, 0x01], "no decimal fraction");
    value(&[0xc2, 0x41, 0x05], "no decimal fraction");
    value(&[0xf9, 0x7c], "end of input");
    value(&[0x61, b'x'], "unexpected type string");
    value(&[0x00, 0x00], "bytes behind the last record");
}

#[test]
fn what_a_later_hub_adds_is_passed_over() {
    let mut pack = senml::encode(&header(), &batch(Some(OFFSET), readings()), CBOR);
    let said = senml::decode(&pack).unwrap();
    // One member more in the first record: text and number labels that nobody knows, and values of every depth.
    for member in [
        &b"\x64more\x82\x01\xbf\x61x\x9f\x01\xff\xff"[..],
        b"\x18\x63\xa1\x01\x02",
        b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ] {
        pack[1] += 1;
        pack.splice(2..2, member.iter().copied());
        assert_eq!(senml::decode(&pack).unwrap(), said);
    }
    // Lists without a length say the same.
    let mut open = senml::encode(&header(), &batch(Some(OFFSET), readings()), CBOR);
    open[0] = 0x9f;
    open.push(0xff);
    assert_eq!(senml::decode(&open).unwrap(), said);
}

#[test]
fn a_message_that_is_cut_off_is_none() {
    for (name, ..) in GOLDEN {
        let whole = golden_file(name);
        for end in 0..whole.len() {
            senml::decode(&whole[..end]).expect_err(name);
        }
    }
}

#[test]
fn a_few_bytes_do_not_become_many() {
    let bomb = |plain: Vec<u8>| miniz_oxide::deflate::compress_to_vec_zlib(&plain, 9);
    let check = |bytes: &[u8], expected: &str| {
        let text = all_causes(&senml::decode(bytes).unwrap_err());
        assert!(text.contains(expected), "{text} should contain {expected}");
    };
    check(&bomb(vec![b' '; 100 * INFLATED_MAX]), "more than 1048576 bytes");
    check(&bomb(vec![0xa0; INFLATED_MAX]), "read SenML");
    check(&bomb(vec![0x80; INFLATED_MAX]), "bytes behind the last record");
    check(&bomb(vec![b'['; INFLATED_MAX]), "expected");
    check(&bomb(bomb(golden_file("data.senml.json"))), "no whole zlib stream");
    check(&[0x78, 0xda, 0xff, 0xff], "no whole zlib stream");
    let mut wrong_sum = golden_file("data.senml.json.zlib");
    *wrong_sum.last_mut().unwrap() ^= 1;
    check(&wrong_sum, "no whole zlib stream");
}

/// A document is only deflated where that pays, and never to one that its reader would refuse.
#[test]
fn a_message_is_never_larger_for_being_deflated() {
    let noise = |len: usize| {
        let mut x = 1_u64;
        let octets: Vec<u8> = std::iter::repeat_with(|| {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            x.to_be_bytes()[0]
        })
        .take(len)
        .collect();
        let serial = point("meter/serial", None, ValueType::Text);
        batch(Some(OFFSET), vec![reading(&serial, 0, Sample::Good(Value::Bytes(octets.into())))])
    };
    assert_eq!(content_type(&senml::encode(&header(), &noise(2_000), CBOR_ZLIB)), Some("application/senml+cbor"));
    assert_eq!(content_type(&senml::encode(&header(), &noise(2_000), JSON_ZLIB)), Some("application/zlib"));
    let huge = senml::encode(&header(), &noise(INFLATED_MAX), JSON_ZLIB);
    assert_eq!((content_type(&huge), huge.len() > INFLATED_MAX), (None, true));
    senml::decode(&huge).unwrap();
}

/// Twenty points of a three-phase meter beside a lamp: name, unit, value at rest, step.
const CABINET: [(&str, &str, f64, f64); 20] = [
    ("voltage-l1", "V", 230.1, 0.1),
    ("voltage-l2", "V", 231.4, 0.1),
    ("voltage-l3", "V", 229.8, 0.1),
    ("current-l1", "A", 1.204, 0.001),
    ("current-l2", "A", 0.871, 0.001),
    ("current-l3", "A", 1.013, 0.001),
    ("power-l1", "W", 277.0, 0.1),
    ("power-l2", "W", 201.6, 0.1),
    ("power-l3", "W", 232.8, 0.1),
    ("power", "W", 711.4, 0.1),
    ("apparent-power", "VA", 733.0, 0.1),
    ("reactive-power", "var", -91.2, 0.1),
    ("power-factor", "/", 0.97, 0.01),
    ("frequency", "Hz", 50.02, 0.01),
    ("energy-import", "kWh", 18_233.41, 0.01),
    ("energy-export", "kWh", 12.0, 0.01),
    ("temperature", "Cel", 31.5, 0.1),
    ("humidity", "%RH", 44.0, 1.0),
    ("dim-level", "%", 80.0, 1.0),
    ("hours", "h", 10_233.0, 1.0),
];

/// Six devices of twenty points each, read in one round; a point's name, unit, time and value are made by `make`.
fn rounds(mut make: impl FnMut(usize, f64) -> (String, Option<&'static str>, i64, Value)) -> Vec<Batch> {
    let mut noise = 1_u64;
    let devices = ["meter-a", "meter-b", "lamp-1", "lamp-2", "charger", "shelter"];
    let batches = devices.iter().map(|device| {
        let readings = (0..20).map(|index| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let steps = f64::from(u8::try_from(noise >> 60).unwrap()) - 8.0;
            let (name, unit, at_ms, value) = make(index, steps);
            let point = point(&format!("{device}/{name}"), unit, ValueType::F64);
            reading(&point, at_ms, Sample::Good(value))
        });
        Batch::read(Stream::parse(device).unwrap(), Class::Data, Some(OFFSET), readings.collect())
    });
    batches.collect()
}

/// Payload, and what it is with an MQTT header and a TLS 1.3 record.
fn sizes(batches: &[Batch], form: Form) -> (usize, usize) {
    let topics = Topics::new(&Name::new("port-credit").unwrap(), &Name::new("lamp-0042").unwrap());
    let sizes = batches.iter().map(|batch| {
        let header = Header { stream: batch.stream.clone(), seq: 86_400, read: 1_728_000, filtered: 0, ..header() };
        let payload = senml::encode(&header, batch, form);
        let properties = 1 + content_type(&payload).map_or(0, |text| 3 + text.len());
        // 3 fixed header, 2 length of topic, 2 packet id; TLS: 5 header, 1 type, 16 tag
        let wire = payload.len() + 3 + 2 + topics.lane(Lane::Data, &batch.stream).len() + 2 + properties + 22;
        (payload.len(), wire)
    });
    sizes.fold((0, 0), |sum, (payload, wire)| (sum.0 + payload, sum.1 + wire))
}

/// 6 x 20 points at 1 Hz: 120 readings in six messages, against a message a reading. The bounds of plain
/// registers are the aims of the wire; what a cabinet's names, units, decimals and several requests a round cost on top is
/// shown. `cargo nextest run --success-output final` shows the figures.
#[test]
fn a_reading_takes_few_bytes() {
    let registers =
        rounds(|index, steps| (format!("r{index}"), None, 55_123, Value::from_f64(2_000.0 + steps).unwrap()));
    let cabinet = rounds(|index, steps| {
        let (name, unit, at_rest, step) = CABINET[index];
        let value = ((at_rest + steps * step) * 1_000.0).round() / 1_000.0;
        // Three requests a round.
        (name.to_owned(), Some(unit), 55_123 + 40 * i64::try_from(index / 7).unwrap(), Value::from_f64(value).unwrap())
    });
    println!("bytes a reading: payload, with MQTT and TLS, how many times less than JSON of one reading a message");
    let each = |bytes: usize| bytes as f64 / 120.0;
    for (name, batches, most) in [("registers", registers, [46, 27, 21, 21]), ("cabinet", cabinet, [55, 33, 24, 23])] {
        let alone = batches.iter().flat_map(|batch| {
            let one =
                |reading: &Reading| Batch::read(batch.stream.clone(), Class::Data, batch.offset, vec![reading.clone()]);
            batch.readings.iter().map(one).collect::<Vec<_>>()
        });
        let alone = sizes(&alone.collect::<Vec<_>>(), JSON);
        println!("{name} one a message: {:.1} {:.1}", each(alone.0), each(alone.1));
        let all: Vec<_> = FORMS.into_iter().zip(most).map(|(form, most)| (form, sizes(&batches, form), most)).collect();
        for (form, (payload, wire), most) in &all {
            let ratio = alone.1 as f64 / *wire as f64;
            println!("{name} {form:?}: {:.1} {:.1} {ratio:.1} (at most {most})", each(*payload), each(*wire));
        }
        for (form, (_, wire), most) in all {
            assert!(wire <= most * 120, "{name} {form:?}: {} bytes a reading, {most} at most", each(wire));
        }
    }
}

fn any_sample() -> impl Strategy<Value = Sample> {
    prop_oneof![
        any_value().prop_map(Sample::Good),
        any_value().prop_map(|value| Sample::Uncertain(value, Reason::Stale)),
        any::<u8>().prop_map(|code| Sample::Bad(Reason::Exception(code))),
    ]
}

proptest! {
    #[test]
    fn every_form_says_what_json_says(
        samples in proptest::collection::vec((any_sample(), 0..1_i64 << 50, 0..3_u8), 1..12),
        dated: bool,
    ) {
        let readings = samples.into_iter().map(|(sample, at, which)| {
            let state = point(&format!("meter/p{which}"), Some("V"), ValueType::F64);
            Reading { point: state, at: HubTime::from_nanos(at), sample }
        });
        let sent = batch(dated.then_some(OFFSET), readings.collect());
        let said = senml::decode(&senml::encode(&header(), &sent, JSON)).unwrap();
        prop_assert_eq!(said.records.len(), sent.readings.len());
        for form in FORMS {
            let got = senml::decode(&senml::encode(&header(), &sent, form)).unwrap();
            if form.encoding == Encoding::Json {
                prop_assert_eq!(&got, &said);
            }
            prop_assert_eq!(without_units(got), without_units(said.clone()));
        }
    }

    #[test]
    fn damaged_messages_never_panic(which in 0..4_usize, at: proptest::sample::Index, byte: u8, tail: Vec<u8>) {
        let mut bytes = golden_file(GOLDEN[which].0);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = senml::decode(&bytes).is_ok();
        bytes.truncate(at);
        bytes.extend(&tail);
        let _ = senml::decode(&bytes).is_ok();
        for first in [0x78, 0x82, 0x9f, b'['] {
            let _ = senml::decode(&[&[first][..], &tail].concat()).is_ok();
        }
        let packed = miniz_oxide::deflate::compress_to_vec_zlib(&bytes, 1);
        let _ = senml::decode(&packed).is_ok();
    }
}
