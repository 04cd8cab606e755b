//! What a plugin's author meets first, by the real `curb` and the real cargo: from nothing to a component, and words for all that is
//! not as it should be.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::component;

/// What a command came to.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn plugins() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../plugins").canonicalize().unwrap()
}

/// `curb plugin`, without a network: what cargo needs is there since the plugins were built.
fn curb(folder: &Path, arguments: &[&str]) -> Said {
    let curb = street::binary("curb").unwrap();
    let mut command = Command::new(curb);
    command.arg("plugin").args(arguments).current_dir(folder);
    // Macros and the like are compiled already there.
    command.env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", plugins().join("target"));
    // Those of the tests' own cargo.
    for name in ["CARGO", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

#[test]
fn a_new_project_builds_and_passes_its_tests_with_nothing_but_curb_and_cargo() {
    let folder = tempfile::tempdir().unwrap();
    for (name, flags, world) in [("quiet-nights", &[][..], "filter"), ("cycles", &["--stateful"], "stateful-filter")] {
        let said = curb(folder.path(), &[&["new", name], flags].concat());
        assert_eq!(said.code, Some(0), "{}", said.err);
        let project = folder.path().join(name);
        let locked = locked(&project);
        let said = curb(&project, &["test"]);
        assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
        assert!(said.err.contains("test result: ok. 2 passed"), "{}", said.err);
        assert!(said.out.contains("tests/first.in: as it should be"), "{}", said.out);
        let used = self::locked(&project);
        assert!(used.len() > 10 && used.is_subset(&locked), "not what our own plugins are built with: {used:?}");
        // A hub's own user must be able to read what is copied there: it is as open as what anybody makes here.
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        let ours = folder.path().join("ours");
        std::fs::write(&ours, "").unwrap();
        assert_eq!(mode(&project.join(format!("{name}.wasm"))), mode(&ours));

        let wasm = project.join(format!("{name}.wasm"));
        let said = curb(folder.path(), &["inspect", "--json", &wasm.display().to_string()]);
        let shown: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!((said.code, &shown["world"], &shown["manifest"]["name"]), (Some(0), &world.into(), &name.into()));
        assert!(shown["sizes"]["file"].as_u64().unwrap() <= 65_536 && shown["sizes"]["debug"] == 0, "{shown:#}");
        // The one for this machine has the same code, and says where it stands.
        let debug = curb(&project, &["inspect", "--json", &format!("{name}.debug.wasm")]);
        let debug: Value = serde_json::from_str(&debug.out).unwrap();
        assert_eq!(debug["sizes"]["code"], shown["sizes"]["code"]);
        assert!(debug["sizes"]["debug"].as_u64().unwrap() > 10_000, "{debug:#}");
    }
    where_it_traps(&folder.path().join("quiet-nights"));
    // Nothing of anybody's is overwritten.
    let again = curb(folder.path(), &["new", "cycles"]);
    assert!(again.code == Some(2) && again.err.contains("there already"), "{}", again.err);
}

/// Names and versions of all that it is built with.
fn locked(project: &Path) -> BTreeSet<String> {
    let lock = std::fs::read_to_string(project.join("Cargo.lock")).unwrap();
    let head = |package: &str| package.lines().take(2).collect::<Vec<_>>().join(" ");
    lock.split("[[package]]\n").skip(1).map(head).collect()
}

/// A panic names its line, and the functions that led there; another test that fails is told with its line.
fn where_it_traps(project: &Path) {
    let lib = project.join("src/lib.rs");
    let source = std::fs::read_to_string(&lib).unwrap();
    let source = source.replace(
        "        for row in rows {\n",
        "        for row in rows {\n            look(row.value.and_then(curb_plugin::Value::number));\n",
    );
    let look =
        "\n#[inline(never)]\nfn look(value: Option<f64>) {\n    assert!(value != Some(231.0), \"not this one\");\n}\n";
    std::fs::write(&lib, source + look).unwrap();
    let line =
        std::fs::read_to_string(&lib).unwrap().lines().position(|line| line.contains("not this one")).unwrap() + 1;
    let said = curb(project, &["test"]);
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    for words in [
        &format!("process: panicked at src/lib.rs:{line}:5: not this one"),
        &"in quiet_nights::look (".to_owned(),
        &format!("src/lib.rs:{line})"),
        &"in process (".to_owned(),
    ] {
        assert!(said.err.contains(words.as_str()), "{words} in {}", said.err);
    }
    assert!(said.out.contains("tests/first.in: FAILED: the plugin could not handle it"), "{}", said.out);
}

#[test]
fn what_does_not_build_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let refused = [
        (&["new", "Quiet"][..], 2, "a-z, 0-9 and -"),
        (&["new", "fn"], 2, "Rust has that word"),
        (&["new", "mine", "--sdk", "/nowhere"], 2, "plugins/sdk of a checkout"),
        (&["build"], 2, "`curb plugin new` begins one"),
        (&["test", "nowhere"], 2, "`curb plugin new` begins one"),
        (&["inspect", "nowhere.wasm"], 3, "read component nowhere.wasm"),
    ];
    for (arguments, code, words) in refused {
        let said = curb(here, arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(code), ""), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(words), "{arguments:?}: {}", said.err);
    }
    assert_eq!(std::fs::read_dir(here).unwrap().count(), 0, "nothing is left of what was refused");

    let sdk = plugins().join("sdk").display().to_string();
    assert_eq!(curb(here, &["new", "mine", "--sdk", &sdk]).code, Some(0));
    assert!(!here.join("mine/curb").exists());
    let curb_bin = street::binary("curb").unwrap();
    let bare =
        Command::new(curb_bin).args(["plugin", "build", "mine"]).current_dir(here).env("PATH", "/nowhere").output();
    let bare = bare.unwrap();
    let text = String::from_utf8_lossy(&bare.stderr);
    assert!(bare.status.code() == Some(3) && text.contains("https://rustup.rs"), "{text}");

    std::fs::write(here.join("mine/src/lib.rs"), "fn main() { mistake }").unwrap();
    let said = curb(here, &["test", "mine"]);
    assert!(said.code == Some(1) && said.err.contains("`mistake`"), "{}{}", said.out, said.err);
}

#[test]
fn inspect_tells_what_a_hub_would_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let deadband = std::fs::read(component("deadband.wasm")).unwrap();
    let future = String::from_utf8_lossy(&deadband).matches("@0.1.0").count();
    assert!(future > 0);
    let mut future = deadband.clone();
    let places: Vec<usize> = (0..future.len() - 6).filter(|at| future[*at..].starts_with(b"@0.1.0")).collect();
    places.into_iter().for_each(|at| future[at..at + 6].copy_from_slice(b"@0.9.0"));
    let cases: [(&str, &[u8], i32, &str); 5] = [
        ("fine", &deadband, 0, "a hub would run it"),
        ("cut", &deadband[..9_000], 1, "cut off, or damaged"),
        ("module", b"\0asm\x01\0\0\0", 1, "core module"),
        ("future", &future, 1, "made for curb:plugin@0.9.0, and this hub speaks 0.1.0"),
        ("large", &vec![0; (4 << 20) + 1], 1, "limit 4194304"),
    ];
    for (name, bytes, code, words) in cases {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let said = curb(folder.path(), &["inspect", name]);
        assert!(said.code == Some(code) && said.out.contains(words), "{name}: {}{}", said.out, said.err);
        let json: Value = serde_json::from_str(&curb(folder.path(), &["inspect", "--json", name]).out).unwrap();
        assert_eq!(json["refused"].as_array().unwrap().is_empty(), code == 0, "{name}: {json:#}");
    }
}
