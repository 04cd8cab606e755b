//! What the kernel says about a process and its descendants: CPU time, wake-ups, memory, bytes to disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;

/// CPU time of a process and its descendants, as the scheduler counts it: in nanoseconds for each thread.
/// (`/proc/PID/stat` counts in ticks of 10 ms, a twentieth of what there is to measure.)
///
/// A thread that ends counts up to the last sample that saw it.
#[derive(Debug)]
pub(crate) struct CpuMeter {
    pid: u32,
    /// By thread id: nanoseconds at the first and at the last sample.
    threads: BTreeMap<u32, (u64, u64)>,
}

impl CpuMeter {
    /// Counts from now on.
    pub(crate) fn start(pid: u32) -> Result<Self, Error> {
        let mut threads = BTreeMap::new();
        for (thread, nanos) in cpu_of_threads(pid)? {
            threads.insert(thread, (nanos, nanos));
        }
        Ok(Self { pid, threads })
    }

    /// Has another look.
    pub(crate) fn sample(&mut self) -> Result<(), Error> {
        for (thread, nanos) in cpu_of_threads(self.pid)? {
            // A thread that is new has done all it did since the first sample.
            self.threads.entry(thread).or_insert((0, nanos)).1 = nanos;
        }
        Ok(())
    }

    /// From the first sample to the last.
    pub(crate) fn spent(&self) -> Duration {
        Duration::from_nanos(self.threads.values().map(|(first, last)| last.saturating_sub(*first)).sum())
    }
}

fn cpu_of_threads(pid: u32) -> Result<Vec<(u32, u64)>, Error> {
    let mut threads = Vec::new();
    for process in family(pid)? {
        let folder = PathBuf::from(format!("/proc/{process}/task"));
        for thread in numbers_in(&folder)? {
            // A thread may end between the two looks; it then counts up to the last one.
            let path = folder.join(thread.to_string()).join("schedstat");
            if let Ok(text) = fs::read_to_string(&path) {
                let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
                threads.push((thread, nanos.ok_or(Error::Kernel { path })?));
            }
        }
    }
    Ok(threads)
}

/// How often the threads of a process and its descendants have gone to sleep by themselves: each time something woke them
/// again.
pub(crate) fn wake_ups(pid: u32) -> Result<u64, Error> {
    let mut total = 0;
    for process in family(pid)? {
        let folder = PathBuf::from(format!("/proc/{process}/task"));
        for thread in numbers_in(&folder)? {
            // A thread that ends meanwhile is not counted any more.
            total += field(&folder.join(thread.to_string()).join("status"), "voluntary_ctxt_switches:").unwrap_or(0);
        }
    }
    Ok(total)
}

/// A process and its descendants.
pub(crate) fn family(pid: u32) -> Result<Vec<u32>, Error> {
    let parents: Vec<(u32, u32)> = numbers_in(Path::new("/proc"))?
        .into_iter()
        .filter_map(|process| {
            let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            // pid (name) state parent …; the name may hold anything, so the fields are counted from its end.
            let parent = text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((process, parent))
        })
        .collect();
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&member) = family.get(next) {
        family.extend(parents.iter().filter(|(_, parent)| *parent == member).map(|(process, _)| process));
        next += 1;
    }
    Ok(family)
}

fn numbers_in(folder: &Path) -> Result<Vec<u32>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::file(folder))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// Resident memory of one process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Pages in memory.
    pub(crate) rss: u64,
    /// The same with pages that others have mapped too (libraries, a host that is the same binary) divided among them.
    pub(crate) pss: u64,
}

impl Memory {
    /// What `pid` has in memory now.
    pub(crate) fn of(pid: u32) -> Result<Self, Error> {
        let path = PathBuf::from(format!("/proc/{pid}/smaps_rollup"));
        let kilobytes = |key| field(&path, key).map(|kilobytes| 1024 * kilobytes);
        Ok(Self { rss: kilobytes("Rss:")?, pss: kilobytes("Pss:")? })
    }
}

/// Bytes that a process has caused to be written to storage, as the kernel accounts them: whole pages, when they are
/// dirtied, journals of the file system left out.
pub(crate) fn written(pid: u32) -> Result<u64, Error> {
    field(&PathBuf::from(format!("/proc/{pid}/io")), "write_bytes:")
}

fn field(path: &Path, key: &str) -> Result<u64, Error> {
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
    value.ok_or(Error::Kernel { path: path.to_owned() })
}

/// Bytes that the files below a folder take.
pub(crate) fn size(folder: &Path) -> Result<u64, Error> {
    let mut total = 0;
    for entry in fs::read_dir(folder).map_err(Error::file(folder))?.flatten() {
        // Journals come and go between the two looks.
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => total += size(&entry.path())?,
            Ok(metadata) => total += metadata.len(),
            Err(_) => {}
        }
    }
    Ok(total)
}
