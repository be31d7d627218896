#define _GNU_SOURCE /* unshare */
#include "confine.h"

#include <errno.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../common/util.h"

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif

#if defined(__x86_64__)
#define HERE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define HERE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define HERE AUDIT_ARCH_RISCV64
#elif defined(__s390x__)
#define HERE AUDIT_ARCH_S390X
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define HERE AUDIT_ARCH_PPC64LE
#else
#error "the filter of system calls does not know this machine"
#endif

/* The folder is bound onto itself, entered anew by its path, made the root, and the old root is let go of. The working directory moves
 * along into the new namespace, as a descriptor would not. */
static int root_turn(int dir, struct ri_why *why) {
  char path[PATH_MAX];
  if (fchdir(dir) < 0 || !getcwd(path, sizeof path))
    return ri_why_errno(why, errno, "the layer's folder");
  if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
    return ri_why_errno(why, errno, "the process that unpacks cannot be set apart (it takes root)");
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount(".", path, NULL, MS_BIND, NULL) < 0)
    return ri_why_errno(why, errno, "the layer's folder cannot be mounted onto itself");
  if (chdir(path) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
    return ri_why_errno(why, errno, "the layer's folder cannot be made the root");
  return 0;
}

static int limits_set(const struct ri_confine *how, struct ri_why *why) {
  const struct {
    int what;
    rlim_t most;
  } limits[] = {{RLIMIT_CORE, 0}, {RLIMIT_NOFILE, 64}, {RLIMIT_FSIZE, (rlim_t)how->max_file}, {RLIMIT_AS, SANITIZED ? RLIM_INFINITY : (rlim_t)1 << 30}};
  for (size_t i = 0; i < PU_COUNT(limits); i++) {
    struct rlimit r = {limits[i].most, limits[i].most};
    if (setrlimit(limits[i].what, &r) < 0)
      return ri_why_errno(why, errno, "the limits of the process that unpacks");
  }
  return 0;
}

/* Owners, rights and capabilities of files, and nothing of the machine's. */
static int caps_drop(bool devices, struct ri_why *why) {
  uint32_t keep = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID | 1u << CAP_SETFCAP;
  if (devices)
    keep |= 1u << CAP_MKNOD;
  for (int cap = 0; cap <= 63; cap++)
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
      return ri_why_errno(why, errno, "capabilities cannot be dropped");
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct sets[2] = {{keep, keep, 0}, {0, 0, 0}};
  if (syscall(SYS_capset, &head, sets) < 0)
    return ri_why_errno(why, errno, "capabilities cannot be dropped");
  return 0;
}

static const int calls[] = {
    SYS_read, SYS_write, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_lseek, SYS_close, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_openat, SYS_openat2,
    SYS_mkdirat, SYS_mknodat, SYS_linkat, SYS_symlinkat, SYS_unlinkat, SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_ftruncate,
    SYS_fsetxattr, SYS_utimensat, SYS_getdents64, SYS_fcntl,
    SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_futex, SYS_sched_yield, SYS_getrandom, SYS_clock_gettime,
    SYS_getpid, SYS_gettid, SYS_tgkill, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_restart_syscall,
    SYS_exit, SYS_exit_group,
};

enum { max_filter = 8 + 2 * (int)PU_COUNT(calls) };

/* Whatever is not in the list fails with EPERM. */
static int calls_filter(struct ri_why *why) {
  struct sock_filter code[max_filter];
  unsigned short n = 0;
  code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, HERE, 1, 0);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i < PU_COUNT(calls); i++) {
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], 0, 1);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  }
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  struct sock_fprog program = {n, code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
    return ri_why_errno(why, errno, "the filter of system calls");
  return 0;
}

int ri_confine(const struct ri_confine *how, struct ri_why *why) {
  if (root_turn(how->dir, why) < 0 || limits_set(how, why) < 0 || caps_drop(how->devices, why) < 0)
    return -1;
  return calls_filter(why);
}
