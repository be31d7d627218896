/* Where programs are: others by PATH, the plug-in's own in the tree that it was built in beside the module, else where they are installed. */
#include "config.h"
#include "settings.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/util.h"

/* dladdr: dlfcn.h of glibc and musl. */
char *ro_programs(void) {
  static const char built[] = "/.libs/runtime-oci.so";
  Dl_info info;
  if (dladdr((const void *)(uintptr_t)ro_programs, &info) && info.dli_fname && *info.dli_fname == '/') {
    size_t n = strlen(info.dli_fname), tail = sizeof built - 1;
    if (n > tail && strcmp(info.dli_fname + n - tail, built) == 0) {
      PU_AUTO_FREE folder = pu_asprintf("%.*s", (int)(n - tail), info.dli_fname);
      PU_AUTO_FREE monitor = pu_asprintf("%s/berth-monitor", folder);
      if (access(monitor, X_OK) == 0)
        return pu_strdup(folder);
    }
  }
  return pu_strdup(BERTH_LIBEXECDIR);
}

char *ro_program_path(const char *name) {
  PU_AUTO_FREE dirs = pu_strdup(getenv("PATH") ? getenv("PATH") : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  char *save = NULL;
  for (char *dir = strchr(name, '/') ? NULL : strtok_r(dirs, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
    PU_AUTO_FREE path = pu_asprintf("%s/%s", dir, name);
    if (*dir == '/' && access(path, X_OK) == 0)
      return pu_strdup(path);
  }
  return pu_strdup(name);
}

char *ro_program_init(const char *programs, char *other) {
  char *own = pu_asprintf("%s/berth-init", programs);
  bool there = access(own, X_OK) == 0;
  free(there ? other : own);
  return there ? own : other;
}
