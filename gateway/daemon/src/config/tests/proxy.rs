//! The proxy is read as it is written, and its password is shown by nobody.

use super::{Folder, LEAST};
use crate::config::load;
use crate::config::proxy::proxy;

#[test]
fn a_proxy_is_read_with_its_login() {
    let login = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
    let cases = [
        ("http://proxy.example:3128", "proxy.example:3128", None),
        ("http://192.0.2.1:8080/", "192.0.2.1:8080", None),
        ("http://[2001:db8::1]:3128", "[2001:db8::1]:3128", None),
        ("http://hub:secret@proxy.example:3128", "proxy.example:3128", login("hub", "secret")),
        ("http://hub:a:b@proxy.example:3128", "proxy.example:3128", login("hub", "a:b")),
        ("http://h%C3%BCb:p%40ss%3a@proxy.example:1", "proxy.example:1", login("hüb", "p@ss:")),
        ("http://hub:p@ss@proxy.example:1", "proxy.example:1", login("hub", "p@ss")),
        ("http://hub:@proxy.example:1", "proxy.example:1", login("hub", "")),
    ];
    for (text, address, login) in cases {
        let found = proxy(text).unwrap();
        assert_eq!(found.address.to_string(), address, "{text}");
        assert_eq!(found.login.map(|login| (login.user, login.password)), login, "{text}");
    }
    let wrong = [
        "proxy.example:3128",
        "https://proxy.example:3128",
        "http://proxy.example",
        "http://hub@proxy.example:3128",
        "http://:secret@proxy.example:3128",
        "http://hub:se%cret@proxy.example:3128",
        "http://hub:se%0d%0acret@proxy.example:3128",
        "http://hub:secret@",
        "",
    ];
    for text in wrong {
        assert!(proxy(text).is_err(), "{text}");
    }
}

#[test]
fn the_password_is_in_nothing_that_is_shown() {
    // Right and wrong in every way that somebody may write it, in a file and on the command line.
    let values = [
        "\"http://hub:s3cr3t@proxy.example:3128\"",
        "\"https://hub:s3cr3t@proxy.example:3128\"",
        "\"hub:s3cr3t@proxy.example:3128\"",
        "\"http://hub:s3cr3t@proxy.example\"",
        "\"http://s3cr3t\"",
        "[\"http://hub:s3cr3t@proxy.example:3128\"]",
        "{ url = \"http://hub:s3cr3t@proxy.example:3128\" }",
    ];
    for value in values {
        let folder = Folder::new(&format!("{LEAST}proxy = {value}\n"));
        let sets =
            [format!("core.proxy={value}"), format!("core.proxy {value}"), format!("core={{ proxy = {value} }}")];
        let on_the_command_line = sets.map(|set| folder.sources().sets([set]));
        for sources in std::iter::once(folder.sources()).chain(on_the_command_line) {
            let loaded = load(&sources);
            let leaves: Vec<_> = loaded.merged.leaves();
            let shown: Vec<_> =
                leaves.iter().map(|leaf| format!("{} {} {}", leaf.path(), leaf.shown(), leaf.origin)).collect();
            let told = [
                format!("{:?}", loaded.settings),
                folder.show(&loaded.problems) + &serde_json::to_string(&loaded.problems).unwrap(),
                serde_json::to_string(&loaded.merged).unwrap(),
                shown.join("\n"),
            ];
            for text in told {
                assert!(!text.contains("s3cr3t"), "{value}: {text}");
            }
        }
    }
    let loaded = Folder::new(&format!("{LEAST}proxy = \"http://hub:s3cr3t@proxy.example:3128\"\n")).load();
    let leaves = loaded.merged.leaves();
    let leaf = leaves.iter().find(|leaf| leaf.path() == "core.proxy").unwrap();
    assert_eq!(leaf.shown(), "http://***@proxy.example:3128");
    let login = loaded.settings.unwrap().core.proxy.unwrap().login.unwrap();
    assert_eq!(login.password, "s3cr3t");
}
