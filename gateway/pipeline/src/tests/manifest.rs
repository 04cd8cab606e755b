//! A manifest is found where it is, and nothing that is no manifest is taken for one.

use proptest::prelude::*;

use crate::manifest::{Manifest, ManifestError, read};

/// A module, or a component around it, with these custom sections.
fn wasm(is_component: bool, sections: &[&[u8]]) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    for data in sections {
        let mut section = leb(11);
        section.extend(b"curb-plugin");
        section.extend(*data);
        module.push(0);
        module.extend(leb(section.len()));
        module.extend(section);
    }
    if !is_component {
        return module;
    }
    // Section 1 of a component is a core module.
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    component.push(1);
    component.extend(leb(module.len()));
    component.extend(module);
    component
}

fn leb(mut n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(n & 0x7f).unwrap();
        n >>= 7;
        bytes.push(if n == 0 { byte } else { byte | 0x80 });
        if n == 0 {
            return bytes;
        }
    }
}

const MANIFEST: &[u8] = br#"{"name":"quiet","version":"1.2.3","settings":{"type":"object"}}"#;

#[test]
fn a_manifest_is_read_from_a_module_or_a_component_around_it() {
    let settings = Some(serde_json::json!({ "type": "object" }));
    let expected = Manifest { name: "quiet".to_owned(), version: "1.2.3".to_owned(), settings, withholds: false };
    let withholds = br#"{"name":"quiet","version":"1","withholds":true}"#;
    assert!(read(&wasm(true, &[withholds])).unwrap().unwrap().withholds);
    for is_component in [false, true] {
        assert_eq!(read(&wasm(is_component, &[MANIFEST])).unwrap(), Some(expected.clone()));
        assert_eq!(read(&wasm(is_component, &[])).unwrap(), None);
    }
}

#[test]
fn what_is_no_manifest_is_refused_with_words() {
    let long = [b" ".repeat(64 << 10), MANIFEST.to_vec()].concat();
    let words = |bytes: Vec<u8>| read(&bytes).map_err(|error| error.to_string());
    let refused = [
        (wasm(true, &[MANIFEST, MANIFEST]), "two custom sections"),
        (wasm(true, &[&long]), "65599 bytes, expected 65536"),
        (wasm(true, &[b"{}"]), "something else than JSON with name"),
        (wasm(true, &[b"\xff"]), "something else than JSON"),
        (b"#!/bin/sh".to_vec(), "no WebAssembly"),
        (wasm(true, &[MANIFEST])[..60].to_vec(), "no WebAssembly"),
    ];
    for (bytes, expected) in refused {
        let error = words(bytes).expect_err(expected);
        assert!(error.contains(expected), "{error}");
    }
    assert!(matches!(read(b""), Err(ManifestError::Wasm(_))));
}

proptest! {
    #[test]
    fn no_bytes_bring_the_reader_down(data in any::<Vec<u8>>(), cut in any::<prop::sample::Index>()) {
        let whole = wasm(true, &[&data]);
        drop(read(&whole));
        drop(read(&whole[..cut.index(whole.len())]));
    }
}
