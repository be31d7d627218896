/* What the machine is and may: kernel, control groups, limits, capabilities. Read once (facts_read.c) and handed to the translation as
 * data, so that the translation itself asks nobody. Knows nothing of containers. */
#ifndef RO_FACTS_H
#define RO_FACTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* What kernel and control groups have. */
enum {
  RO_HAS_CPU = 1 << 0,          /* shares or weight */
  RO_HAS_CFS = 1 << 1,          /* quota and period */
  RO_HAS_CPUSET = 1 << 2,
  RO_HAS_MEMORY = 1 << 3,
  RO_HAS_SWAP = 1 << 4,         /* memory.memsw or memory.swap */
  RO_HAS_SWAPPINESS = 1 << 5,
  RO_HAS_OOM_CONTROL = 1 << 6,  /* the killer can be switched off */
  RO_HAS_PIDS = 1 << 7,
  RO_HAS_IO = 1 << 8,           /* throttling */
  RO_HAS_IO_WEIGHT = 1 << 9,
  RO_HAS_REALTIME = 1 << 10,
  RO_HAS_SECCOMP = 1 << 11,
  RO_HAS_APPARMOR = 1 << 12,
  RO_HAS_SELINUX = 1 << 13,
  RO_HAS_USERNS = 1 << 14,
  RO_HAS_DEVICES = 1 << 16,     /* access to devices can be limited */
  RO_HAS_SOFT_MEMORY = 1 << 17  /* reservation */
};

enum { RO_LIMITS = 16 };

struct ro_facts {
  const char *arch;              /* as images have it: "amd64", "arm64"; static */
  int kernel[2];                 /* 6, 1 */
  int cgroup;                    /* 1 or 2; hybrid counts as 1 */
  uint32_t has;                  /* RO_HAS_… */
  uint64_t capabilities;         /* what whoever starts containers can give, a bit each (ro_cap_bit) */
  int64_t hard[RO_LIMITS];       /* hard limits that cannot be raised, by ro_limit_index; -1: unlimited */
  bool raise;                    /* limits can be raised, so hard means nothing */
  int64_t nr_open;               /* fs.nr_open: nobody may have more files open, whatever may be raised; 0: unknown */
  int cpus;                      /* online; 0: unknown */
  char *cpu_list, *mem_list;     /* "0-3": of cpuset; NULL: unknown */
  char *hostname;
  char *init;                    /* a small init that may be put into containers; NULL: none is installed */
  char *apparmor;                /* profile to confine containers with where they name none; NULL: none is loaded */
};

/* Reads them from /proc and /sys; blocks, so it is for workers. Never fails: what cannot be read is not had. */
void ro_facts_read(struct ro_facts *out);
void ro_facts_free(struct ro_facts *f);

/* Compose's name of a limit ("nofile") as an index, or -1. */
int ro_limit_index(const char *name);
/* The parts: /proc/self/limits and /proc/self/status as they are. */
void ro_facts_limits(struct ro_facts *out, const char *limits, const char *status);

#endif
