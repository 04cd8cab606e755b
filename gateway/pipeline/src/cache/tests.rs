//! A cache that somebody or something has touched is never run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::{Cache, verified};
use crate::config::Engine;

const CODE: &[u8] = b"what the compiler gave";

fn cached() -> (tempfile::TempDir, Cache, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().join("cache"));
    cache.place(Engine::Cranelift, 1 << 20, b"component").unwrap().keep(CODE);
    let file = fs::read_dir(folder.path().join("cache")).unwrap().next().unwrap().unwrap().path();
    (folder, cache, file)
}

#[test]
fn code_is_found_by_all_that_it_depends_on() {
    let (_folder, cache, _) = cached();
    let code = |engine, memory, component: &[u8]| cache.place(engine, memory, component).unwrap().code();
    assert_eq!(code(Engine::Cranelift, 1 << 20, b"component").as_deref(), Some(CODE));
    assert_eq!(code(Engine::Cranelift, 1 << 20, b"Component"), None, "another component");
    assert_eq!(code(Engine::Cranelift, 2 << 20, b"component"), None, "another memory");
    assert_eq!(code(Engine::Pulley, 1 << 20, b"component"), None, "another engine");
}

#[test]
fn a_changed_torn_or_open_file_is_not_used() {
    let (_folder, _, file) = cached();
    let whole = fs::read(&file).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    for bytes in [&changed[..], &whole[..whole.len() / 2], &whole[..10], &[]] {
        fs::write(&file, bytes).unwrap();
        assert!(verified(&file).is_none());
    }
    fs::write(&file, &whole).unwrap();
    assert!(verified(&file).is_some());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(verified(&file).is_none(), "others may read it");
    let link = file.with_extension("link");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert!(verified(&link).is_none(), "a symbolic link");
}

#[test]
fn a_folder_that_others_may_enter_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(Cache::at(folder.path().to_owned()).place(Engine::Cranelift, 1 << 20, b"component").is_none());
}
