//! What shows of a component without running it, and what a hub refuses, in words for whoever has built it.

use std::path::Path;

use curb_pipeline::{Examined, World, examine, strip};

use crate::rig::component;

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

fn section(id: u8, body: &[u8]) -> Vec<u8> {
    [&[id], &leb(body.len())[..], body].concat()
}

fn custom(name: &str, data: &[u8]) -> Vec<u8> {
    section(0, &[&leb(name.len())[..], name.as_bytes(), data].concat())
}

fn module(sections: &[Vec<u8>]) -> Vec<u8> {
    [&b"\0asm\x01\0\0\0"[..], &sections.concat()].concat()
}

fn wrapped(sections: &[Vec<u8>]) -> Vec<u8> {
    [&b"\0asm\x0d\0\x01\0"[..], &sections.concat()].concat()
}

/// The type of an empty instance, and an import of it under this name.
fn import(name: &str) -> Vec<u8> {
    let ty = section(7, &[1, 0x42, 0]);
    let import = [&[1, 0][..], &leb(name.len()), name.as_bytes(), &[5, 0]].concat();
    [ty, section(10, &import)].concat()
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "offsets stay");
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
    bytes
}

fn look(folder: &Path, bytes: &[u8]) -> Examined {
    let path = folder.join("x.wasm");
    std::fs::write(&path, bytes).unwrap();
    examine(&path).unwrap()
}

#[test]
fn what_a_plugin_is_shows_without_running_it() {
    let cases = [("deadband", World::Filter), ("window", World::StatefulFilter), ("tally", World::StatefulFilter)];
    for (name, world) in cases {
        let path = component(name);
        let examined = examine(&path).unwrap();
        assert!(examined.refused.is_empty(), "{name}: {:?}", examined.refused);
        assert_eq!(examined.size, std::fs::metadata(&path).unwrap().len());
        assert_eq!(examined.digest.unwrap().len(), 64);
        let anatomy = examined.anatomy.unwrap();
        assert_eq!((anatomy.world(), anatomy.contract()), (Some(world), Some("0.1.0")), "{name}");
        assert!(anatomy.imports.iter().any(|import| import == "curb:plugin/log@0.1.0"), "{anatomy:?}");
        assert!(anatomy.code > 10_000 && anatomy.data > 100 && anatomy.memory >= 1 << 16, "{anatomy:?}");
        assert!(anatomy.code + anatomy.data + anatomy.debug < examined.size, "{anatomy:?}");
    }
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {}", told(cause)))
}

#[test]
fn what_a_hub_refuses_is_told_with_its_reason_and_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let deadband = std::fs::read(component("deadband")).unwrap();
    let strange = wrapped(&[import("wasi:cli/stdin@0.2.0"), section(1, &module(&[section(5, &[1, 0, 0xff, 0x01])]))]);
    let cases: [(&str, Vec<u8>, &[&str]); 12] = [
        ("module", module(&[]), &["core module", "wasm-component-ld"]),
        ("cut off", deadband[..deadband.len() / 2].to_vec(), &["cut off, or damaged, near byte"]),
        ("empty file", Vec::new(), &["is no WebAssembly"]),
        ("no wasm", b"#!/bin/sh\nexit 1\n".to_vec(), &["is no WebAssembly"]),
        ("nothing in it", wrapped(&[]), &["exports no curb:plugin/transform"]),
        ("strange in all", strange, &["imports wasi:cli/stdin@0.2.0", "asks for 16711680 bytes of memory"]),
        (
            "of the future",
            replaced(&deadband, b"@0.1.0", b"@0.7.0"),
            &["made for curb:plugin@0.7.0, and this hub speaks 0.1.0"],
        ),
        ("of a patched contract", replaced(&deadband, b"@0.1.0", b"@0.1.9"), &[]),
        ("another world", replaced(&deadband, b"plugin/transform@", b"plugin/transfarm@"), &["exports no"]),
        ("too large", vec![0; (4 << 20) + 1], &["of 4194305 bytes (limit 4194304)"]),
        ("bad manifest", replaced(&deadband, b"{\"name\":", b"{\"nome\":"), &["read the manifest"]),
        (
            "two manifests of nothing",
            wrapped(&[custom("curb-plugin", b"{}"), section(1, &module(&[]))]),
            &["exports no", "read the manifest"],
        ),
    ];
    for (name, bytes, expected) in cases {
        let refused: Vec<String> = look(folder.path(), &bytes).refused.iter().map(|why| told(why)).collect();
        let all = refused.join("; ");
        assert_eq!(refused.is_empty(), expected.is_empty(), "{name}: {all}");
        expected.iter().for_each(|words| assert!(all.contains(words), "{name}: {words:?} in {all:?}"));
    }
    assert!(examine(&folder.path().join("absent")).is_err());
}

#[test]
fn what_is_stripped_is_the_same_plugin_to_the_last_byte_of_its_code() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["deadband", "window"] {
        let bytes = std::fs::read(component(name)).unwrap();
        let before = look(folder.path(), &bytes);
        let (was, manifest) = (before.anatomy.unwrap(), before.manifest);
        let stripped = strip(&bytes).unwrap();
        let after = look(folder.path(), &stripped);
        let is = after.anatomy.unwrap();
        assert!(after.refused.is_empty() && stripped.len() < bytes.len(), "{name}: {:?}", after.refused);
        assert_eq!(
            (is.code, is.data, is.memory, &is.imports),
            (was.code, was.data, was.memory, &was.imports),
            "{name}"
        );
        assert_eq!((after.manifest, is.debug), (manifest, 0), "{name}");
        assert_eq!(strip(&stripped).unwrap(), stripped, "{name}: twice is once");
    }
    let named = module(&[custom("name", b"x"), custom("curb-plugin", b"{}"), section(10, &[0])]);
    let plain = module(&[custom("curb-plugin", b"{}"), section(10, &[0])]);
    assert_eq!(strip(&wrapped(&[section(1, &named)])).unwrap(), wrapped(&[section(1, &plain)]));
    // A name whose section claims more bytes than there are, and bytes that are none.
    for torn in
        [&wrapped(&[section(1, &named)])[..20], &[0, 1, 2], &module(&[vec![0, 0xff, 0xff, 0xff, 0xff, 0xff, 1]])]
    {
        assert_eq!(strip(torn), None, "{torn:?}");
    }
}
