/* The socket over which an OCI runtime hands over the master of a container's terminal (--console-socket). Paths of sockets are bounded
 * to 107 bytes and run folders are not, so it is named by way of a descriptor of the folder. */
#ifndef RO_CONSOLE_H
#define RO_CONSOLE_H

#include "fail.h"

struct ro_console {
  int dir, listener;
  char name[40];  /* in dir */
  char path[80];  /* what the runtime is told; good as long as we live */
};

int ro_console_listen(struct ro_console *c, const char *run_dir, struct ro_fail *why);
/* The master (close on exec), after the runtime has said that all is well; -1 with why. Closes and removes the socket either way. */
int ro_console_take(struct ro_console *c, struct ro_fail *why);
void ro_console_close(struct ro_console *c);

#endif
