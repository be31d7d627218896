/* What the helper takes away from itself before it runs a line of the plug-in's. The filter of system calls is a list of what nobody who
 * talks to one product needs and what has opened kernels before; everything else stays allowed, since a plug-in may bring any
 * library. Refused calls fail with EPERM; clone3 with ENOSYS, so that the C library takes clone, whose flags can be looked at. */
#include "config.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plugin/helper/helper.h"

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#define OUR_ARCH 0
#endif

/* A sanitizer's shadow counts as data, and it looks at itself with ptrace. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static const int denied[] = {
    SYS_ptrace,          SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp,
    SYS_mount,           SYS_umount2,          SYS_pivot_root,        SYS_chroot,
    SYS_open_tree,       SYS_move_mount,       SYS_fsopen,            SYS_fsconfig,
    SYS_fsmount,         SYS_fspick,           SYS_mount_setattr,     SYS_name_to_handle_at,
    SYS_open_by_handle_at, SYS_init_module,    SYS_finit_module,      SYS_delete_module,
    SYS_kexec_load,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
    SYS_reboot,          SYS_swapon,           SYS_swapoff,           SYS_acct,
    SYS_quotactl,        SYS_sethostname,      SYS_setdomainname,     SYS_settimeofday,
    SYS_clock_settime,   SYS_clock_adjtime,    SYS_adjtimex,          SYS_syslog,
    SYS_bpf,             SYS_perf_event_open,  SYS_userfaultfd,       SYS_keyctl,
    SYS_add_key,         SYS_request_key,      SYS_unshare,           SYS_setns,
    SYS_io_uring_setup,  SYS_io_uring_enter,   SYS_io_uring_register, SYS_personality,
    SYS_lookup_dcookie,  SYS_vhangup,          SYS_nfsservctl,        SYS_fanotify_init,
    SYS_move_pages,      SYS_migrate_pages,    SYS_mbind,             SYS_set_mempolicy,
    SYS_pidfd_getfd,     SYS_process_madvise,
    SYS_memfd_create,    SYS_shmget, /* memory that no process shows as its own */
#ifdef SYS_memfd_secret
    SYS_memfd_secret,
#endif
#ifdef __x86_64__
    SYS_iopl,            SYS_ioperm,           SYS_modify_ldt,        SYS_uselib,
    SYS_ustat,           SYS_sysfs,            SYS__sysctl,           SYS_create_module,
#endif
};

static const unsigned namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
                                   CLONE_NEWCGROUP;

enum { max_program = 256 };

struct program {
  struct sock_filter code[max_program];
  unsigned short len;
};

static void put(struct program *p, struct sock_filter op) {
  BT_ASSERT(p->len < max_program);
  p->code[p->len++] = op;
}

static void put_load(struct program *p, size_t offset) {
  put(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
}

static void put_return(struct program *p, unsigned action) { put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action)); }

static unsigned refuse(int error) { return SECCOMP_RET_ERRNO | ((unsigned)error & SECCOMP_RET_DATA); }

/* If the word at hand is value: return action. */
static void put_match(struct program *p, unsigned value, unsigned action) {
  put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
  put_return(p, action);
}

/* The lower half of an argument. */
static size_t arg_at(int i) { return offsetof(struct seccomp_data, args) + (size_t)i * sizeof(uint64_t); }

/* New namespaces would give a root of its own to who has none. */
static void put_clone(struct program *p) {
  put_match(p, SYS_clone3, refuse(ENOSYS));
  put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4));
  put_load(p, arg_at(0));
  put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, namespaces, 0, 1));
  put_return(p, refuse(EPERM));
  put_return(p, SECCOMP_RET_ALLOW);
}

/* No sockets but pairs: what leaves goes through the server, which knows the entry's egress. */
static void put_sockets(struct program *p) { put_match(p, SYS_socket, refuse(EPERM)); }

static int filter_calls(bool network) {
  struct program p = {.len = 0};
  put_load(&p, offsetof(struct seccomp_data, arch));
  put(&p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0));
  put_return(&p, SECCOMP_RET_KILL_PROCESS);
  put_load(&p, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
  put(&p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1)); /* x32: other numbers */
  put_return(&p, refuse(ENOSYS));
#endif
  for (size_t i = 0; i < BT_COUNT(denied); i++)
    if (!SANITIZED || denied[i] != SYS_personality)
      put_match(&p, (unsigned)denied[i], refuse(EPERM));
  if (!network) {
    put_sockets(&p);
    put_match(&p, SYS_setsid, refuse(EPERM)); /* by its session all that it started is found, and ended with it; but a proxy is to serve on */
  }
  put_clone(&p);
  put_return(&p, SECCOMP_RET_ALLOW);
  struct sock_fprog prog = {.len = p.len, .filter = p.code};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

/* ---------------------------------------------------------------- limits and user */

static int limit(int what, long long n) {
  struct rlimit now, want = {(rlim_t)n, (rlim_t)n};
  if (n <= 0)
    return 0;
  if (getrlimit(what, &now) != 0)
    return -1;
  if (now.rlim_max != RLIM_INFINITY && want.rlim_max > now.rlim_max) /* nobody may raise it; what is there is less */
    want.rlim_cur = want.rlim_max = now.rlim_max;
  return setrlimit(what, &want);
}

static int set_limits(const struct helper_limits *l) {
  struct rlimit none = {0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0)
    return -1;
  if (!SANITIZED && limit(RLIMIT_DATA, l->memory) != 0)
    return -1;
  return limit(RLIMIT_NOFILE, l->files) == 0 && limit(RLIMIT_NPROC, l->processes) == 0 && limit(RLIMIT_CPU, l->cpu) == 0 ? 0 : -1;
}

static int become(long long user, long long group) {
  if (user < 0 || geteuid() != 0)
    return 0;
  gid_t g = (gid_t)group;
  uid_t u = (uid_t)user;
  return setgroups(0, NULL) == 0 && setresgid(g, g, g) == 0 && setresuid(u, u, u) == 0 ? 0 : -1;
}

static int failed(const char *what) {
  fprintf(stderr, "berth-plugin-host: %s: %s\n", what, strerror(errno));
  return -1;
}

int helper_confine(const struct helper_limits *l) {
  if (become(l->user, l->group) != 0)
    return failed("cannot become another user");
  if (set_limits(l) != 0)
    return failed("cannot set its limits");
  /* After the change of user, which clears it. Who lost its parent before this has it as init's child: its link is at its end. */
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return failed("cannot give up privileges");
  if (OUR_ARCH && filter_calls(l->network) != 0)
    return failed("cannot filter system calls");
  return 0;
}

bool helper_filters(void) { return OUR_ARCH != 0; }

void helper_hide(void) {
  if (!SANITIZED)
    prctl(PR_SET_DUMPABLE, 0);
}
