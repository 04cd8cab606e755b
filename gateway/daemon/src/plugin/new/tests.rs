//! What a new project is made of. That it builds and passes its tests is shown in `tests/e2e`.

use super::*;

#[test]
fn a_name_is_one_that_hub_file_and_crate_can_have() {
    let fine = ["quiet", "quiet-nights", "a", "pm25", "unsafe-ish"];
    let refused = [
        ("", "empty name"),
        ("Quiet", "'Q'"),
        ("quiet_nights", "'_'"),
        ("ruhig-ö", "'ö'"),
        ("a-name-that-has-more-than-thirty-two", "more than 32"),
        ("quality", "reserved"),
        ("25pm", "a letter first"),
        ("-quiet", "a letter first"),
        ("match", "Rust has that word"),
        ("std", "Rust has that word"),
        ("curb-plugin", "Rust has that word"),
    ];
    for name in fine {
        assert_eq!(checked(name).unwrap().as_str(), name);
    }
    for (name, expected) in refused {
        let error = checked(name).unwrap_err();
        let text = crate::chain(&error);
        assert!(text.contains(expected) && text.contains("name a plugin"), "{name}: {text}");
    }
    assert!(TAKEN.is_sorted());
}

#[test]
fn a_project_has_the_flags_of_our_own_plugins() {
    let ours: toml::Table = include_str!("../../../../../plugins/Cargo.toml").parse().unwrap();
    for stateful in [false, true] {
        let files = files(&Name::new("x").unwrap(), stateful, None).unwrap();
        let text = |path: &str| &files.iter().find(|(found, _)| found == Path::new(path)).unwrap().1;
        let theirs: toml::Table = text("Cargo.toml").parse().unwrap();
        assert_eq!(theirs["profile"], ours["profile"]);
        assert_eq!(theirs["package"]["rust-version"], ours["workspace"]["package"]["rust-version"]);
        assert!(files.iter().all(|(_, text)| !["@NAME@", "@SDK@", "@RUST@"].iter().any(|gap| text.contains(gap))));
    }
}

#[test]
fn the_authors_crate_stands_alone_and_its_lock_has_what_it_needs() {
    let files = files(&Name::new("zebra").unwrap(), false, None).unwrap();
    let text = |path: &str| &files.iter().find(|(found, _)| found == Path::new(path)).unwrap().1;
    let manifest = text("curb/sdk/Cargo.toml");
    assert!(!manifest.contains("workspace") && !manifest.contains("proptest"), "{manifest}");
    assert!(files.iter().any(|(path, _)| path.extension().is_some_and(|end| end == "wit")), "the contract is there");
    let lock = text("Cargo.lock");
    for (name, is_in) in
        [("zebra", true), ("curb-plugin", true), ("wit-bindgen", true), ("rlsf", true), ("proptest", false)]
    {
        assert_eq!(lock.contains(&format!("name = \"{name}\"\n")), is_in, "{name}");
    }
    // A path has it from there, and nothing of it is copied.
    let files = super::files(&Name::new("zebra").unwrap(), false, Some(Path::new("/there/sdk"))).unwrap();
    assert!(!files.iter().any(|(path, _)| path.starts_with("curb")));
    assert!(files.iter().any(|(path, text)| path == Path::new("Cargo.toml") && text.contains("path = \"/there/sdk\"")));
}
