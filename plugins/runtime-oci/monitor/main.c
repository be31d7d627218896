/* berth-monitor: see monitor.h. */
#include "config.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "monitor.h"
#include "sweep.h"

/* Nothing of whoever started us is kept open: a container that lives for months must not hold a socket of the agent. */
static void close_inherited(void) {
  if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0)
    return;
  for (int fd = 3; fd < 65536; fd++)
    close(fd);
}

static int usage(void) {
  fputs("usage: berth-monitor start RUN-FOLDER\n"
        "       berth-monitor exec RUN-FOLDER\n"
        "       berth-monitor sweep RUN-FOLDER\n"
        "Started by the plug-in runtime-oci, one for each running container; RUN-FOLDER holds its monitor.json.\n",
        stderr);
  return 2;
}

/* It is written into config.json as it is: nothing that JSON would escape. */
static bool sound_folder(const char *path) {
  for (const char *p = path; *p; p++)
    if (*p == '"' || *p == '\\' || (unsigned char)*p < 0x20)
      return false;
  return path[0] == '/';
}

/* What a killed monitor left; a sentence on standard error where something stays. */
static int sweep(const char *dir) {
  struct ro_fail why = {0};
  int rc = ro_sweep_run(dir, &why);
  if (rc < 0)
    fprintf(stderr, "%s\n", why.text);
  ro_fail_clear(&why);
  return rc < 0 ? 1 : 0;
}

int main(int argc, char **argv) {
  close_inherited();
  umask(022);
  if (argc != 3 || !sound_folder(argv[2]))
    return usage();
  if (strcmp(argv[1], "start") == 0)
    return ro_start(argv[2]);
  if (strcmp(argv[1], "exec") == 0)
    return ro_exec(argv[2]);
  if (strcmp(argv[1], "sweep") == 0)
    return sweep(argv[2]);
  return usage();
}
