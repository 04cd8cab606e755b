use std::fs;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use curb_identity::Identity;
use curb_model::{Fault, Name, Room};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use super::{Renewal, Watch, judge, stamp};
use crate::run::fault;

fn identity(hub: &str, site: &str) -> Identity {
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Identity {
        hub: Name::new(hub).unwrap(),
        site: Name::new(site).unwrap(),
        not_before: UNIX_EPOCH,
        not_after: UNIX_EPOCH,
        tls: Arc::new(tls),
        warnings: Vec::new(),
    }
}

fn unfit() -> Fault {
    fault(Room::Identity, "key", "key-does-not-fit", "it does not belong to the certificate".to_owned())
}

#[test]
fn only_a_whole_new_set_of_this_hub_replaces_what_runs() {
    let ours = || Ok(identity("lamp-1", "pier"));
    let cases = [
        ("same", ours(), ours(), false),
        ("take", ours(), ours(), true),
        ("keep key-does-not-fit", ours(), Err(unfit()), true),
        ("keep hub-renamed", ours(), Ok(identity("lamp-2", "pier")), true),
        ("keep hub-renamed", ours(), Ok(identity("lamp-1", "shore")), true),
        ("take", Err(unfit()), ours(), true),
        ("take", Err(unfit()), ours(), false),
        ("without key-does-not-fit", Err(unfit()), Err(unfit()), true),
    ];
    for (expected, runs, read, differs) in cases {
        let found = match judge(&runs, read, differs, &Name::new("lamp-1").unwrap()) {
            Renewal::Same => "same".to_owned(),
            Renewal::Take(_) => "take".to_owned(),
            Renewal::Keep(fault) => {
                assert!(fault.detail.ends_with("the identity that works stays"), "{}", fault.detail);
                format!("keep {}", fault.word)
            }
            Renewal::Without(fault) => format!("without {}", fault.word),
        };
        assert_eq!(found, expected);
    }
}

#[test]
fn a_change_is_read_once_and_only_when_the_files_have_been_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let files = curb_identity::Config { key: path("key"), certificate: path("crt"), roots: path("roots"), site: None };
    let write = |name: &str, text: &str| fs::write(path(name), text).unwrap();
    for name in ["key", "crt", "roots"] {
        write(name, "old");
    }
    let mut watch = Watch::new(stamp(&files));
    let mut look = || watch.look(stamp(&files));
    assert!(!look(), "nothing has changed");

    // A copy under way: a file at each look.
    write("key", "newer");
    assert!(!look(), "just changed");
    write("crt", "newer");
    assert!(!look(), "changed again");
    assert!(look(), "left alone");
    assert!(!look() && !look(), "read already");

    // Another file of the same length in its place, one that is gone, and one that comes back.
    write("other", "NEWER");
    fs::rename(path("other"), path("crt")).unwrap();
    assert_eq!([look(), look(), look()], [false, true, false], "replaced");
    fs::remove_file(path("roots")).unwrap();
    assert_eq!([look(), look(), look()], [false, true, false], "gone");
    write("roots", "old");
    assert_eq!([look(), look(), look()], [false, true, false], "back");
    // What is put back as it was before anybody looked twice needs no reading, and what is touched is read.
    fs::File::open(path("key")).unwrap().set_modified(UNIX_EPOCH).unwrap();
    assert_eq!([look(), look(), look()], [false, true, false], "touched");
}
