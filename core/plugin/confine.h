/* What a helper is confined by, as it is and not as it was wished: the helper looks at itself before a line of the plug-in's has run, and
 * reports on a socket that it then closes. With the report comes a descriptor of its own numbers (/proc/self/status), which
 * tells the memory of the process also where its folder in /proc cannot be seen (ProtectProc=invisible). */
#ifndef BT_PLUGIN_CONFINE_H
#define BT_PLUGIN_CONFINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct bt_confinement {
  bool known; /* a report came; else nothing is believed */
  long long user, memory, files, processes, cpu; /* limits: 0 none */
  bool own_user, seccomp, no_new_privs, sockets; /* sockets: it may open some */
  int status;  /* -1: none */
};

/* Takes the report that waits on the socket, which is closed. Zero, and no status, where none does. */
void bt_confinement_take(int *socket, struct bt_confinement *out);
void bt_confinement_free(struct bt_confinement *c);
/* Bytes of memory that the process has: its own, and what it shares but for files; -1 where that cannot be seen. */
int64_t bt_confinement_memory(const struct bt_confinement *c);

/* What holds it, and what that others of its kind have is missing, a few words each ("user 58012", "seccomp"; missing: "user", "seccomp",
 * "processes", "memory", "memory-watch", "sockets", "everything" where nothing is known). New arrays of texts. */
json_t *bt_confinement_has(const struct bt_confinement *c);
json_t *bt_confinement_lacks(const struct bt_confinement *c);
/* The texts of such an array, with commas. The caller frees. */
char *bt_confinement_text(const json_t *list);

#endif
