//! What a process gives up before it reads the first byte that is not its own: files that it inherited, new privileges, most of
//! its limits, and nearly all system calls.
//!
//! This is the wall where there is no service manager to build one, and one more behind it where there is. What is left is what
//! running code needs: memory, threads, clocks, and the two ends of the link. Whoever breaks out of the sandbox of WebAssembly
//! finds a process that cannot open a file or a socket, cannot see, signal or trace another process, and cannot become another
//! program. A call that is not allowed fails with `EPERM` and does no more: a C library that asks for something new goes on
//! without it. Deliberately absent: Landlock, which the kernels of many small computers do not have.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::io;

use nix::libc;
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

/// Files that the host may have open: the link, and for each module of each plugin one image of its memory.
const FILES: u64 = 256;

/// System calls that are allowed whatever their arguments.
const CALLS: &[libc::c_long] = &[
    // The link, and standard error. Nothing can be opened.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    // Memory; images of a plugin's memory are files without a name.
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_memfd_create,
    libc::SYS_ftruncate,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_pwrite64,
    libc::SYS_fcntl,
    // Code that was written is seen by all processors.
    libc::SYS_membarrier,
    // Threads.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Traps are signals of the process to itself.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Time, and seeds of hash tables.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
];

/// Gives it all up. Public for the tests alone, which try what is left.
///
/// # Errors
/// The system refuses, or there is no filter for this machine: then nothing is to be run here.
#[doc(hidden)]
pub fn confine() -> io::Result<()> {
    give_up_the_rest()?;
    filter()
}

/// All but the system calls.
///
/// # Errors
/// As for [`confine`].
pub(super) fn give_up_the_rest() -> io::Result<()> {
    close_inherited()?;
    rustix::thread::set_no_new_privs(true)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, FILES)
}

/// From here on this process has no more of it than this.
pub(super) fn limit(resource: Resource, most: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// Closes all but the link and standard error: whoever started the parent may have left it files that are not marked to
/// be closed. Before any thread or file of our own.
fn close_inherited() -> io::Result<()> {
    let number = |entry: io::Result<DirEntry>| entry.ok()?.file_name().to_str()?.parse::<i32>().ok();
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?.filter_map(number).collect();
    for number in open.into_iter().filter(|number| *number > 2) {
        // The folder that was listed is among them, and closed by now: an error says no more than that.
        nix::unistd::close(number).ok();
    }
    Ok(())
}

/// Only the system calls of [`CALLS`] and [`conditional`] are left to this thread and to all that it starts.
pub(super) fn filter() -> io::Result<()> {
    let failed = |error: seccompiler::Error| io::Error::other(error.to_string());
    // The first says that a call does not exist, of those that come back in an older form then.
    for program in [absent(), allowed()] {
        let program = program.map_err(|error| io::Error::other(error.to_string()))?;
        apply_filter(&program).map_err(failed)?;
    }
    Ok(())
}

/// `clone3` takes its flags in memory, where a filter does not see them.
fn absent() -> Result<BpfProgram, seccompiler::BackendError> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    program(rules, SeccompAction::Allow, SeccompAction::Errno(errno(libc::ENOSYS)))
}

fn allowed() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_clone3, Vec::new());
    rules.extend(conditional()?);
    program(rules, SeccompAction::Errno(errno(libc::EPERM)), SeccompAction::Allow)
}

/// System calls that are allowed with some arguments only.
fn conditional() -> Result<Vec<(i64, Vec<SeccompRule>)>, seccompiler::BackendError> {
    let argument = |index, operator, value| SeccompCondition::new(index, SeccompCmpArgLen::Qword, operator, value);
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let own = u64::from(std::process::id());
    let name = u64::from(libc::PR_SET_NAME.unsigned_abs());
    Ok(vec![
        // A thread, no process.
        (libc::SYS_clone, vec![SeccompRule::new(vec![argument(0, SeccompCmpOp::MaskedEq(thread), thread)?])?]),
        // The end of a process that finds itself broken.
        (libc::SYS_tgkill, vec![SeccompRule::new(vec![argument(0, SeccompCmpOp::Eq, own)?])?]),
        (libc::SYS_prctl, vec![SeccompRule::new(vec![argument(0, SeccompCmpOp::Eq, name)?])?]),
        // Its own limits may be read: the C library wants to know the size of a stack.
        (
            libc::SYS_prlimit64,
            vec![SeccompRule::new(vec![argument(0, SeccompCmpOp::Eq, 0)?, argument(2, SeccompCmpOp::Eq, 0)?])?],
        ),
    ])
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let machine = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, matched, machine)?.try_into()
}

/// The errno of a filter's answer.
fn errno(number: i32) -> u32 {
    number.unsigned_abs()
}
