//! The kernel refuses the system calls that the daemon never makes (seccomp(2)).
//!
//! A list of what is allowed, by subject, wider than what was seen: all that programs do who read and write files, talk
//! over sockets, wait and have threads. What is not on it is answered "not implemented": the C library then takes an older
//! way, as on an older kernel, and nothing is killed. Not on it is what acts on the machine, on its file systems or on other
//! processes: `NEVER`, held by a test. io_uring is not on it either, because it goes past this list.
//! Some calls are allowed with some arguments only: threads yes, namespaces no; memory to write or to execute, never
//! both. Not here: files (`files`).

use nix::libc;
use posthaste_admin::desk::Kept;
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};
use std::collections::BTreeMap;

/// System calls by number. The type differs between kernels' C libraries, the numbers are small.
type Calls = &'static [libc::c_long];

/// Reading, writing, and what is asked about descriptors.
const OCTETS: Calls = &[
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_copy_file_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fadvise64,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_lseek,
    libc::SYS_memfd_create,
    libc::SYS_pipe2,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_read,
    libc::SYS_readahead,
    libc::SYS_readv,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_tee,
    libc::SYS_write,
    libc::SYS_writev,
];
/// Files and folders. Whose they are cannot be changed.
const FILES: Calls = &[
    libc::SYS_chdir,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fallocate,
    libc::SYS_fchdir,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fdatasync,
    libc::SYS_fgetxattr,
    libc::SYS_flistxattr,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_getxattr,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_rm_watch,
    libc::SYS_lgetxattr,
    libc::SYS_linkat,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_readlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_sync_file_range,
    libc::SYS_syncfs,
    libc::SYS_truncate,
    libc::SYS_umask,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
];
/// Sockets; which families, see `socket`.
const SOCKETS: Calls = &[
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_socketpair,
];
/// Waiting, clocks that are read, signals.
const WAITING: Calls = &[
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_getitimer,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_setitimer,
    libc::SYS_sigaltstack,
    libc::SYS_signalfd4,
    libc::SYS_timer_create,
    libc::SYS_timer_delete,
    libc::SYS_timer_getoverrun,
    libc::SYS_timer_gettime,
    libc::SYS_timer_settime,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_gettime,
    libc::SYS_timerfd_settime,
];
/// Threads, memory, and what a process asks about itself. Signals to others are the matter of `files`.
const SELF: Calls = &[
    libc::SYS_brk,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_getcpu,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getgroups,
    libc::SYS_getpgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getpriority,
    libc::SYS_getrandom,
    libc::SYS_getresgid,
    libc::SYS_getresuid,
    libc::SYS_getrlimit,
    libc::SYS_getrusage,
    libc::SYS_getsid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_kill,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mincore,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_mremap,
    libc::SYS_msync,
    libc::SYS_munlock,
    libc::SYS_munmap,
    libc::SYS_prlimit64,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sysinfo,
    libc::SYS_tgkill,
    libc::SYS_times,
    libc::SYS_tkill,
    libc::SYS_uname,
    libc::SYS_wait4,
    libc::SYS_waitid,
];
/// Older names of some of these, which newer machines do not have.
#[cfg(target_arch = "x86_64")]
const OLDER: Calls = &[
    libc::SYS_access,
    libc::SYS_alarm,
    libc::SYS_arch_prctl,
    libc::SYS_chmod,
    libc::SYS_creat,
    libc::SYS_dup2,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_getdents,
    libc::SYS_getpgrp,
    libc::SYS_inotify_init,
    libc::SYS_link,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_pause,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_select,
    libc::SYS_signalfd,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
    libc::SYS_utime,
    libc::SYS_utimes,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: Calls = &[];

/// One condition on an argument: its number, its width, and what it must be.
type Asked = (u8, SeccompCmpArgLen, SeccompCmpOp, u64);

/// Namespaces that a new process could be put into.
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;
const WRITE: u64 = libc::PROT_WRITE as u64;
const EXECUTE: u64 = libc::PROT_EXEC as u64;

/// What a call is allowed with: any line of conditions that hold together.
fn with_arguments() -> Vec<(libc::c_long, Vec<Vec<Asked>>)> {
    let one_of = |argument: u8, values: &[u64]| -> Vec<Vec<Asked>> {
        values.iter().map(|value| vec![(argument, Dword, Eq, *value)]).collect()
    };
    let number = |value: libc::c_int| u64::from(value.unsigned_abs());
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6].map(number);
    let processes = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_GET_DUMPABLE];
    let processes = [processes.map(number).as_slice(), &[PR_SET_VMA]].concat();
    vec![
        // clone3 hides its flags from the filter; without it the C library takes clone.
        (libc::SYS_clone, vec![vec![(0, Qword, MaskedEq(NAMESPACES), 0)]]),
        (libc::SYS_socket, one_of(0, &families)),
        (libc::SYS_prctl, one_of(0, &processes)),
        (
            libc::SYS_ioctl,
            one_of(1, &[libc::FIONBIO, libc::FIONREAD, libc::TCGETS, libc::TIOCGWINSZ]),
        ),
        (
            libc::SYS_mmap,
            vec![vec![(2, Qword, MaskedEq(WRITE), 0)], vec![(2, Qword, MaskedEq(EXECUTE), 0)]],
        ),
        (libc::SYS_mprotect, vec![vec![(2, Qword, MaskedEq(EXECUTE), 0)]]),
    ]
}

/// The allocator names its memory (prctl(2)).
const PR_SET_VMA: u64 = 0x5356_4d41;

/// From now on, for every thread; it cannot be undone. Answers whether the kernel does it.
pub(super) fn confine() -> Kept {
    let Some(program) = compiled() else {
        tracing::info!("no list of system calls is known for this kind of processor");
        return Kept::Open;
    };
    match apply_filter_all_threads(&program) {
        Ok(()) => Kept::Confined,
        Err(error) => {
            tracing::info!("this kernel cannot keep the daemon to its system calls: {error}");
            Kept::Open
        }
    }
}

fn compiled() -> Option<BpfProgram> {
    let arch = std::env::consts::ARCH.try_into().ok()?;
    let refused = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let filter = SeccompFilter::new(rules(), refused, SeccompAction::Allow, arch);
    let filter = filter.expect("what is refused is not what is allowed");
    Some(filter.try_into().expect("the filter is far below the kernel's 4096 steps"))
}

#[allow(clippy::useless_conversion, reason = "on some machines the numbers are narrower")]
fn rules() -> BTreeMap<i64, Vec<SeccompRule>> {
    let always = [OCTETS, FILES, SOCKETS, WAITING, SELF, OLDER].into_iter().flatten();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        always.map(|call| (i64::from(*call), Vec::new())).collect();
    for (call, lines) in with_arguments() {
        let rule = |asked: Vec<Asked>| {
            let conditions = asked.into_iter().map(|(argument, width, how, value)| {
                SeccompCondition::new(argument, width, how, value)
                    .expect("a call has six arguments at most")
            });
            SeccompRule::new(conditions.collect()).expect("each line has a condition")
        };
        rules.insert(i64::from(call), lines.into_iter().map(rule).collect());
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the process can never do again: to others, to the machine, to its own confinement.
    const NEVER: Calls = &[
        libc::SYS_acct,
        libc::SYS_add_key,
        libc::SYS_adjtimex,
        libc::SYS_bpf,
        libc::SYS_chroot,
        libc::SYS_clock_adjtime,
        libc::SYS_clock_settime,
        libc::SYS_clone3,
        libc::SYS_delete_module,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_fanotify_init,
        libc::SYS_fchown,
        libc::SYS_fchownat,
        libc::SYS_finit_module,
        libc::SYS_fsmount,
        libc::SYS_fsopen,
        libc::SYS_init_module,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_io_uring_setup,
        libc::SYS_kcmp,
        libc::SYS_kexec_load,
        libc::SYS_keyctl,
        libc::SYS_mknodat,
        libc::SYS_mount,
        libc::SYS_move_mount,
        libc::SYS_name_to_handle_at,
        libc::SYS_open_by_handle_at,
        libc::SYS_open_tree,
        libc::SYS_perf_event_open,
        libc::SYS_personality,
        libc::SYS_pidfd_getfd,
        libc::SYS_pivot_root,
        libc::SYS_process_madvise,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_ptrace,
        libc::SYS_quotactl,
        libc::SYS_reboot,
        libc::SYS_request_key,
        libc::SYS_seccomp,
        libc::SYS_setdomainname,
        libc::SYS_setgid,
        libc::SYS_setgroups,
        libc::SYS_sethostname,
        libc::SYS_setns,
        libc::SYS_setresgid,
        libc::SYS_setresuid,
        libc::SYS_settimeofday,
        libc::SYS_setuid,
        libc::SYS_swapoff,
        libc::SYS_swapon,
        libc::SYS_symlinkat,
        libc::SYS_syslog,
        libc::SYS_umount2,
        libc::SYS_unshare,
        libc::SYS_userfaultfd,
        libc::SYS_vhangup,
        libc::SYS_vmsplice,
    ];

    #[test]
    fn what_acts_on_the_machine_or_on_others_is_not_allowed() {
        let rules = rules();
        let allowed: Vec<_> = NEVER.iter().filter(|call| rules.contains_key(call)).collect();
        assert!(allowed.is_empty(), "{allowed:?}");
        assert!(rules.contains_key(&libc::SYS_read));
    }

    /// On a thread of its own, which keeps the filter until it ends: the other tests have none.
    #[test]
    fn the_kernel_takes_the_list_and_refuses_the_rest() {
        let program = compiled().expect("the machines we build for are known");
        let thread = std::thread::spawn(move || {
            seccompiler::apply_filter(&program).expect("this kernel has filters");
            let family = rustix::net::AddressFamily::NETLINK;
            let raw = rustix::net::socket(family, rustix::net::SocketType::RAW, None);
            let unix = std::os::unix::net::UnixDatagram::unbound().map(|_| ());
            let owner = std::os::unix::fs::chown("/proc/self/comm", Some(0), None);
            let held = std::env::temp_dir().join(format!("link.{}", std::process::id()));
            let link = std::os::unix::fs::symlink("/etc/passwd", held);
            let program = std::process::Command::new("/bin/true").spawn().map(|_| ());
            let inner = std::thread::spawn(|| std::fs::read("/proc/self/stat").is_ok()).join();
            (
                raw.err(),
                unix,
                [owner.err(), link.err()],
                program,
                inner.expect("threads begin and end"),
            )
        });
        let (raw, unix, refused, program, inner) = thread.join().expect("it only asks");
        assert_eq!(raw, Some(rustix::io::Errno::NOSYS), "other families");
        assert!(unix.is_ok() && inner);
        for error in refused {
            assert_eq!(error.and_then(|error| error.raw_os_error()), Some(libc::ENOSYS));
        }
        assert!(program.is_err(), "no program is started");
    }
}
