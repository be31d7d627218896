/* Starting a helper: which program, as whom, with which limits, with nothing but its link and its standard error. Knows nothing of what
 * is said on the link. */
#ifndef BT_PLUGIN_SPAWN_H
#define BT_PLUGIN_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/vec.h"

/* Where and how an entry runs. Strings are the owner's. */
struct bt_isolation {
  bool process;
  char *user;        /* name or number; NULL: one of the entry's own where we are root */
  int64_t memory;    /* bytes; 0: 256 MiB */
  int64_t files;     /* 0: 256 */
  int64_t processes; /* 0: 64 */
  int64_t cpu;       /* seconds; 0: no limit */
  bool network;      /* may open sockets of its own */
  struct bt_strs command; /* a program that speaks the wire itself, in place of a .so; empty: none */
  bool listed;            /* egress is given */
  struct bt_strs egress;
};

struct bt_process {
  pid_t pid;
  int pidfd;
  int wire; /* our end of the socket pair */
  int err;  /* of its standard error; non-blocking */
  int report; /* what confines it comes here, before its first message (confine.h) */
  uid_t uid; /* as whom it runs */
};

/* Another program of Berth's that stands where that one does. */
char *bt_spawn_libexec(const char *name);
/* The user number for an entry of that name: the one that isolation names, or one of 58000 to 58999 that depends on the name. -1
 * where we cannot choose (not root). */
int bt_spawn_user(const struct bt_isolation *isolation, const char *name, long long *uid, long long *gid, struct bt_err **err) BT_CHECK;
/* Runs the plug-in at path (or the isolation's command). 0, or -1 with a sentence. */
int bt_spawn(const struct bt_isolation *isolation, const char *name, const char *path, struct bt_process *out,
             struct bt_err **err) BT_CHECK;
/* Kills the process and what it started in its group. */
void bt_spawn_kill(const struct bt_process *process);
/* Reaps it where it has ended; options as of waitpid. What it started and left behind is killed first, in whatever group it is: they cannot leave
 * its session (helper/sandbox.c). Reads each process of the machine once: some 5 us each. True where it has ended. */
bool bt_spawn_reap(const struct bt_process *process, int options, int *status);

#endif
