#include "config.h"
#include "scratch.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

enum { open_folders = 16 };

static char folder[PATH_MAX];

static void remove_all(void) {
  check_scratch_clear();
  rmdir(folder);
}

const char *check_scratch(void) {
  if (*folder)
    return folder;
  const char *tmp = getenv("TMPDIR");
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/berth-plugin-check-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
  if (!mkdtemp(path) || !realpath(path, folder)) {
    perror(path);
    exit(2);
  }
  atexit(remove_all); /* tests end with _exit */
  return folder;
}

char *check_scratch_in(const char *text) {
  static const char word[] = "@DIR@";
  BT_AUTO_BUF b = {0};
  bt_buf_adds(&b, "");
  for (const char *at; (at = strstr(text, word)); text = at + sizeof word - 1) {
    bt_buf_add(&b, text, (size_t)(at - text));
    bt_buf_adds(&b, check_scratch());
  }
  bt_buf_adds(&b, text);
  return bt_buf_steal(&b);
}

/* What a plug-in mounted there outlives it. The last line that names it is the innermost. */
static bool unmount_one(void) {
  char line[PATH_MAX + 512], where[PATH_MAX], found[PATH_MAX] = "";
  size_t n = strlen(folder);
  FILE *f = fopen("/proc/self/mounts", "re");
  while (f && fgets(line, sizeof line, f))
    if (sscanf(line, "%*s %4095s", where) == 1 && strncmp(where, folder, n) == 0 && where[n] == '/')
      snprintf(found, sizeof found, "%s", where);
  if (f)
    fclose(f);
  return *found && umount2(found, MNT_DETACH) == 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at) {
  (void)st, (void)kind;
  return at->level ? (remove(path), 0) : 0;
}

void check_scratch_clear(void) {
  if (!*folder)
    return;
  while (unmount_one()) {
  }
  nftw(folder, remove_one, open_folders, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
