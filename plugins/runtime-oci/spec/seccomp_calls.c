/* The default profile's table: the set of calls of Docker's own default profile (of 2025, without io_uring), so that what runs there runs here.
 * Names that a machine or its libseccomp does not know are passed over by the OCI runtimes. */
#include "config.h"

#include <errno.h>
#include <linux/capability.h>

#include "../../common/util.h"
#include "seccomp.h"

#define WITH(cap) .needs = 1 + (cap)
#define WITHOUT(cap) .without = 1 + (cap)
/* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: none of them may be set. */
enum { new_namespaces = 0x7e020000 };

const struct ro_seccomp_rule ro_seccomp_rules[] = {
    {.calls =
     "accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64 "
     "clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect "
     "copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait "
     "epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate "
     "fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork "
     "fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 "
     "futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 "
     "geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority "
     "getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday "
     "getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy "
     "io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule "
     "landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listxattr listxattrat llistxattr "
     "_llseek lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir "
     "mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive "
     "mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock "
     "munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe "
     "pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease "
     "pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg "
     "recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq "
     "rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 "
     "rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam "
     "sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam "
     "sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 "
     "sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 "
     "setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid "
     "setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack "
     "signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statx symlink symlinkat sync "
     "sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 "
     "timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill "
     "truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice "
     "wait4 waitid waitpid write writev"},
    {"process_vm_readv process_vm_writev ptrace", .kernel = {4, 8}},
    {"socket", .op = RO_ARG_NE, .index = 0, .value = 40}, /* AF_VSOCK reaches the machine's hypervisor */
    /* Linux, Linux 32-bit, either with UNAME26, and the question */
    {"personality", .op = RO_ARG_EQ, .value = 0},
    {"personality", .op = RO_ARG_EQ, .value = 8},
    {"personality", .op = RO_ARG_EQ, .value = 0x20000},
    {"personality", .op = RO_ARG_EQ, .value = 0x20008},
    {"personality", .op = RO_ARG_EQ, .value = 0xffffffff},

    {"sync_file_range2 swapcontext", .arches = "ppc64le"},
    {"arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls", .arches = "arm arm64"},
    {"arch_prctl", .arches = "amd64"},
    {"modify_ldt", .arches = "amd64 386"},
    {"s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr", .arches = "s390x"},
    {"riscv_flush_icache riscv_hwprobe", .arches = "riscv64"},

    {"open_by_handle_at", WITH(CAP_DAC_READ_SEARCH)},
    {"bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie mount mount_setattr move_mount open_tree "
     "perf_event_open quotactl quotactl_fd setdomainname sethostname setns statmount syslog umount umount2 unshare",
     WITH(CAP_SYS_ADMIN)},
    {"clone", WITHOUT(CAP_SYS_ADMIN), .arches = "!s390x", .op = RO_ARG_MASKED, .index = 0, .value = new_namespaces},
    {"clone", WITHOUT(CAP_SYS_ADMIN), .arches = "s390x", .op = RO_ARG_MASKED, .index = 1, .value = new_namespaces},
    {"clone3", WITHOUT(CAP_SYS_ADMIN), .errno_value = ENOSYS}, /* its flags are behind a pointer: the C library falls back on clone */
    {"reboot", WITH(CAP_SYS_BOOT)},
    {"chroot", WITH(CAP_SYS_CHROOT)},
    {"delete_module init_module finit_module", WITH(CAP_SYS_MODULE)},
    {"acct", WITH(CAP_SYS_PACCT)},
    {"kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace", WITH(CAP_SYS_PTRACE)},
    {"iopl ioperm", WITH(CAP_SYS_RAWIO)},
    {"settimeofday stime clock_settime clock_settime64", WITH(CAP_SYS_TIME)},
    {"vhangup", WITH(CAP_SYS_TTY_CONFIG)},
    {"get_mempolicy mbind set_mempolicy set_mempolicy_home_node", WITH(CAP_SYS_NICE)},
    {"syslog", WITH(CAP_SYSLOG)},
    {"bpf", WITH(CAP_BPF)},
    {"perf_event_open", WITH(CAP_PERFMON)},
};
const size_t ro_seccomp_nrules = PU_COUNT(ro_seccomp_rules);
