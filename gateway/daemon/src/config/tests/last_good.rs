//! A hub that has run before boots what ran, whatever it finds.

use super::{Folder, LEAST};
use crate::config::last_good::LastGoodError;
use crate::config::{load_last_good, save_last_good};

#[test]
fn what_ran_runs_again() {
    let folder = Folder::new(&format!(
        "{LEAST}[bus.b]\ntcp = \"192.0.2.1\"\n[device.d]\nbus = \"b\"\nunit_id = 1\n\
         point.p = {{ register = \"holding:0\", type = \"u16\", scale = 0.1, range = [0.0, 100.5], absent = [0xFFFF] }}\n\
         [plugin.q]\ncomponent = \"plugin.wasm\"\npoints = [\"d/*\"]\nsettings = {{ a = [1, {{ b = true }}], c = {{}} }}\n\
         [plugins]\ndir = \"FOLDER\"\n"
    ));
    let text = std::fs::read_to_string(folder.path().join("curb.toml")).unwrap();
    let folder = folder.with("plugin.wasm", "");
    let text = text.replace("FOLDER", folder.path().to_str().unwrap());
    let folder = folder.with("curb.toml", text);

    assert!(load_last_good(folder.path()).unwrap().is_none());
    let loaded = folder.load();
    assert_eq!(folder.show(&loaded.problems), "");
    save_last_good(folder.path(), &loaded.merged).unwrap();

    let folder = folder.with("curb.toml", "broken [");
    std::fs::remove_file(folder.path().join("plugin.wasm")).unwrap();
    assert!(folder.load().settings.is_none());
    let last = load_last_good(folder.path()).unwrap().unwrap();
    assert_eq!(folder.show(&last.problems), "");
    assert_eq!(last.settings, loaded.settings);
    assert_eq!(last.merged.leaves(), loaded.merged.leaves());
}

#[test]
fn defaults_are_those_of_the_version_that_reads() {
    let folder = Folder::new(LEAST);
    save_last_good(folder.path(), &folder.load().merged).unwrap();
    let read = curb_durable::File::new(folder.path().join("last-good.json")).read().unwrap().unwrap();
    let main = folder.path().join("curb.toml");
    let main = main.to_str().unwrap();
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&read.bytes).unwrap(),
        serde_json::json!({ "v": 1, "settings": [
            { "key": ["core", "url"], "value": "mqtts://core.example", "from": { "file": { "path": main, "position": [4, 1] } } },
            { "key": ["hub", "site"], "value": "elm-street", "from": { "file": { "path": main, "position": [2, 1] } } },
        ] })
    );
}

#[test]
fn a_later_version_is_not_guessed_at() {
    let folder = Folder::new(LEAST);
    let file = curb_durable::File::new(folder.path().join("last-good.json"));
    file.write(br#"{"v":2,"other":[]}"#).unwrap();
    assert!(matches!(load_last_good(folder.path()), Err(LastGoodError::Newer { found: 2 })));
    file.write(b"[]").unwrap();
    assert!(matches!(load_last_good(folder.path()), Err(LastGoodError::Format(_))));
    file.write(br#"{"v":1,"settings":[{"key":[],"value":null,"from":"built_in"},{"key":["x[9999999999]"],"value":1,"from":"built_in"}]}"#)
        .unwrap();
    assert!(load_last_good(folder.path()).unwrap().unwrap().settings.is_none());
}
