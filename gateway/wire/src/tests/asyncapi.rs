//! The AsyncAPI document says what the code does: its topics are the code's, and the golden documents are what its
//! schemas describe.

use std::collections::{BTreeMap, BTreeSet};

use boon::{Compiler, Draft, Schemas};
use minicbor::Decoder;
use minicbor::data::Type;
use serde_json::{Map, Value as Json, json};

use super::*;
use crate::senml::{Compress, Encoding};

const PLACE: &str = "https://example.net/asyncapi.json";

/// Every queued topic.
const LANES: [Lane; 6] = [Lane::Data, Lane::Alarm, Lane::Run, Lane::Gap, Lane::Clock, Lane::Audit];

fn document() -> Json {
    serde_json::from_str(include_str!("../../asyncapi.json")).unwrap()
}

fn members(value: &Json) -> impl Iterator<Item = (&String, &Json)> {
    value.as_object().into_iter().flatten()
}

/// What a reference of the document leads to.
fn target<'a>(document: &'a Json, reference: &Json) -> &'a Json {
    let path =
        reference["$ref"].as_str().and_then(|text| text.strip_prefix('#')).unwrap_or_else(|| panic!("{reference}"));
    document.pointer(path).unwrap_or_else(|| panic!("nothing at {path}"))
}

/// The document, with schemas that take no member that they do not name.
fn closed(mut value: Json) -> Json {
    fn close(value: &mut Json) {
        if value["type"] == "object" && value["properties"].is_object() {
            value["additionalProperties"] = false.into();
        }
        match value {
            Json::Object(members) => members.values_mut().for_each(close),
            Json::Array(elements) => elements.iter_mut().for_each(close),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }
    value["components"]["schemas"].as_object_mut().unwrap().values_mut().for_each(close);
    value
}

/// Judges instances by the schemas of a document.
struct Judge {
    compiler: Compiler,
    schemas: Schemas,
}

impl Judge {
    fn new(document: Json) -> Self {
        let mut compiler = Compiler::new();
        // An AsyncAPI schema is one of draft 07 unless it says otherwise.
        compiler.set_default_draft(Draft::V7);
        compiler.add_resource(PLACE, document).unwrap();
        Self { compiler, schemas: Schemas::new() }
    }

    fn complaint(&mut self, reference: &Json, instance: &Json) -> Option<String> {
        let place = format!("{PLACE}{}", reference["$ref"].as_str().unwrap());
        let schema = self.compiler.compile(&place, &mut self.schemas).unwrap();
        self.schemas.validate(instance, schema).err().map(|error| format!("{error:#}"))
    }
}

/// A golden file as JSON has it.
fn golden_json(name: &str) -> Json {
    let mut bytes = std::fs::read(golden_path(name)).unwrap_or_else(|e| panic!("read {name}: {e}"));
    if name.ends_with(".zlib") {
        bytes = miniz_oxide::inflate::decompress_to_vec_zlib(&bytes).unwrap();
    }
    if name.contains(".cbor") { cbor(&mut Decoder::new(&bytes)) } else { serde_json::from_slice(&bytes).unwrap() }
}

/// CBOR as JSON has it, after RFC 8428, section 6; written without a look at our reader.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is no number, and the decoder says so")]
fn cbor(input: &mut Decoder<'_>) -> Json {
    const LABELS: [(i8, &str); 9] =
        [(-2, "bn"), (-3, "bt"), (0, "n"), (1, "u"), (2, "v"), (3, "vs"), (4, "vb"), (6, "t"), (8, "vd")];
    match input.datatype().unwrap() {
        Type::Array => {
            let length = input.array().unwrap().unwrap();
            (0..length).map(|_| cbor(input)).collect()
        }
        Type::Map => {
            let length = input.map().unwrap().unwrap();
            let entry = |_| {
                let label = cbor(input);
                let known = LABELS.iter().find(|(number, _)| label == *number).map(|(_, text)| *text);
                (known.or(label.as_str()).unwrap().to_owned(), cbor(input))
            };
            Json::Object((0..length).map(entry).collect::<Map<_, _>>())
        }
        Type::String => input.str().unwrap().into(),
        Type::Bytes => {
            use base64::Engine as _;
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(input.bytes().unwrap()).into()
        }
        Type::Bool => input.bool().unwrap().into(),
        Type::F32 | Type::F64 => input.f64().unwrap().into(),
        Type::Tag => {
            assert_eq!((input.tag().unwrap().as_u64(), input.array().unwrap()), (4, Some(2)));
            let (exponent, mantissa) = (input.i64().unwrap(), input.i64().unwrap());
            format!("{mantissa}e{exponent}").parse::<f64>().unwrap().into()
        }
        _ => input.i64().unwrap().into(),
    }
}

/// Messages by name, with what they say of themselves.
fn messages(document: &Json) -> BTreeMap<String, (Json, Vec<String>)> {
    let all = members(&document["components"]["messages"]).map(|(name, message)| {
        let golden = message["x-golden"].as_array().into_iter().flatten().map(|file| file.as_str().unwrap().to_owned());
        (name.clone(), (message.clone(), golden.collect()))
    });
    all.collect()
}

#[test]
fn every_golden_document_is_an_example_of_its_message() {
    let document = document();
    let (mut open, mut exact) = (Judge::new(document.clone()), Judge::new(closed(document.clone())));
    let mut told = BTreeSet::new();
    for (name, (message, golden)) in messages(&document) {
        assert!(!golden.is_empty(), "{name} has no golden document");
        for file in golden {
            let instance = golden_json(&file);
            for judge in [&mut open, &mut exact] {
                assert_eq!(judge.complaint(&message["payload"], &instance), None, "{file} as {name}");
            }
            assert!(told.insert(file.clone()), "{file} is of two messages");
        }
    }
    let files = std::fs::read_dir(golden_path("")).unwrap();
    let files: BTreeSet<_> = files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(told, files);
}

#[test]
fn content_types_are_those_that_the_hub_sends() {
    for (name, (message, golden)) in messages(&document()) {
        for file in golden {
            let bytes = std::fs::read(golden_path(&file)).unwrap();
            let unsaid = if file.contains("senml") { "application/senml+json" } else { "application/json" };
            assert_eq!(message["contentType"], senml::content_type(&bytes).unwrap_or(unsaid), "{file} as {name}");
        }
    }
}

#[test]
fn what_lacks_a_member_or_has_a_wrong_one_is_refused() {
    let document = document();
    let mut judge = Judge::new(document.clone());
    for (name, (message, golden)) in messages(&document) {
        let schema = target(&document, &message["payload"]);
        for file in golden {
            let whole = golden_json(&file);
            // The identity of a pack stands in its first record.
            let (record, required) = match whole.as_array() {
                Some(records) => (records[0].clone(), &schema["items"][0]["allOf"][1]["required"]),
                None => (whole.clone(), &schema["required"]),
            };
            for member in required.as_array().unwrap() {
                let member = member.as_str().unwrap();
                for wrong in [None, Some(json!({ "no": "such" }))] {
                    let mut record = record.clone();
                    match wrong {
                        None => drop(record.as_object_mut().unwrap().remove(member)),
                        Some(wrong) => record[member] = wrong,
                    }
                    let mut broken = whole.clone();
                    match broken.as_array_mut() {
                        Some(records) => records[0] = record,
                        None => broken = record,
                    }
                    assert!(judge.complaint(&message["payload"], &broken).is_some(), "{member} of {file} as {name}");
                }
            }
        }
    }
}

#[test]
fn topics_directions_and_retention_are_those_of_the_code() {
    let document = document();
    let topics = Topics::new(&Name::new("port-credit").unwrap(), &Name::new("lamp-0042").unwrap());
    let meter = Stream::parse("meter").unwrap();
    let mut expected: BTreeMap<String, (&str, bool)> =
        LANES.iter().map(|lane| (topics.lane(*lane, &meter), ("send", false))).collect();
    expected.insert(topics.status(), ("send", true));
    expected.insert(topics.points(), ("send", true));
    expected.insert(topics.receipt(), ("receive", false));
    expected.insert(topics.commands().replace('+', "write"), ("receive", false));
    let mut told = BTreeMap::new();
    for (name, operation) in members(&document["operations"]) {
        let channel = target(&document, &operation["channel"]);
        let bindings = &operation["bindings"]["mqtt"];
        assert_eq!(bindings["qos"], 1, "{name}");
        let of_channel: BTreeSet<_> = members(&channel["messages"]).map(|(_, message)| message.to_string()).collect();
        let sent = operation["messages"].as_array().unwrap().iter();
        assert_eq!(
            sent.map(|message| target(&document, message).to_string()).collect::<BTreeSet<_>>(),
            of_channel,
            "{name}"
        );
        let topic = topic_of(channel);
        assert!(Address::parse(&topic).is_some(), "{topic}");
        let how = (operation["action"].as_str().unwrap(), bindings["retain"].as_bool().unwrap());
        assert_eq!(told.insert(topic, how), None, "{name}");
    }
    let told: BTreeMap<_, _> = told.into_iter().collect();
    assert_eq!(told, expected);

    // The one channel without an operation of its own is where answers go.
    let reply = &document["operations"]["receiveWrite"]["reply"]["channel"];
    assert!(topics.takes_replies(&topic_of(target(&document, reply))));
    assert_eq!(members(&document["channels"]).count(), expected.len() + 1);
    let used = members(&document["channels"]).flat_map(|(_, channel)| members(&channel["messages"]));
    let used: BTreeSet<_> = used.map(|(_, message)| message["$ref"].as_str().unwrap().to_owned()).collect();
    let all = messages(&document).into_keys().map(|name| format!("#/components/messages/{name}"));
    assert_eq!(used, all.collect());
}

/// A channel's topic for one hub; each of its parameters is explained.
fn topic_of(channel: &Json) -> String {
    let mut topic = channel["address"].as_str().unwrap().to_owned();
    for (name, example) in [("site", "port-credit"), ("hub", "lamp-0042"), ("stream", "meter"), ("asker", "console")] {
        let with = topic.replace(&format!("{{{name}}}"), example);
        assert_eq!(with != topic, channel["parameters"].get(name).is_some(), "{name} of {topic}");
        topic = with;
    }
    topic
}

#[test]
fn words_are_those_of_the_code() {
    let document = document();
    let schema =
        |path: &str| document.pointer(&format!("/components/schemas/{path}")).unwrap_or_else(|| panic!("{path}"));
    assert_eq!(
        *schema("gapRecord/properties/gap/properties/reason/enum"),
        json!(GapReason::ALL.map(GapReason::as_str))
    );
    let rooms = [Room::Source, Room::Pipeline, Room::Store, Room::Uplink, Room::Identity, Room::Clock, Room::Config];
    assert_eq!(*schema("status/properties/faults/items/properties/room/enum"), json!(rooms.map(|room| room.as_str())));
    let reasons = [
        Reason::Timeout,
        Reason::Exception(255),
        Reason::Crc,
        Reason::Framing,
        Reason::Decode,
        Reason::Range,
        Reason::Absent,
        Reason::Stale,
        Reason::Clock,
        Reason::Port,
    ];
    let state = point("meter/state", None, ValueType::U16);
    let readings = reasons.iter().map(|reason| reading(&state, 55_123, Sample::Bad(*reason))).collect();
    let form = Form { encoding: Encoding::Json, compress: Compress::None };
    let pack = senml::encode(&header(), &batch(Some(OFFSET), readings), form);
    let pack: Json = serde_json::from_slice(&pack).unwrap();
    let payload = json!({ "$ref": "#/components/schemas/pack" });
    assert_eq!(Judge::new(document.clone()).complaint(&payload, &pack), None);
    let odd = json!([{ "n": "state/quality", "vs": "bad:odd" }]);
    assert!(Judge::new(document.clone()).complaint(&payload, &odd).is_some());
}
