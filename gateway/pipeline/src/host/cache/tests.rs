//! A cache that somebody or something has touched is never run.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::Cache;
use crate::config::Engine as Kind;
use crate::host::engine::engine;

const EMPTY: &[u8] = b"(component)";

fn cached() -> (tempfile::TempDir, Cache, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&folder.path().join("cache"));
    cache.compile(&engine(Kind::default(), 1 << 20).unwrap(), EMPTY).unwrap();
    let file = fs::read_dir(folder.path().join("cache")).unwrap().next().unwrap().unwrap().path();
    (folder, cache, file)
}

#[test]
fn what_was_compiled_is_found_again() {
    let (_folder, cache, file) = cached();
    assert!(super::verified(&file).is_some());
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    cache.compile(&engine(Kind::default(), 1 << 20).unwrap(), EMPTY).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before, "compiled again");
    cache.compile(&engine(Kind::default(), 2 << 20).unwrap(), EMPTY).unwrap();
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 2, "another configuration is another file");
}

#[test]
fn a_changed_torn_or_open_file_is_not_used() {
    let (_folder, _, file) = cached();
    let whole = fs::read(&file).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    for bytes in [&changed[..], &whole[..whole.len() / 2], &whole[..10], &[]] {
        fs::write(&file, bytes).unwrap();
        assert!(super::verified(&file).is_none());
    }
    fs::write(&file, &whole).unwrap();
    assert!(super::verified(&file).is_some());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(super::verified(&file).is_none(), "others may read it");
    let link = file.with_extension("link");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert!(super::verified(&link).is_none(), "a symbolic link");
}

#[test]
fn a_folder_that_others_may_enter_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let cache = Cache::open(folder.path());
    cache.compile(&engine(Kind::default(), 1 << 20).unwrap(), EMPTY).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
