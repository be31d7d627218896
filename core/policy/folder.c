#include "config.h"
#include "policy/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"

enum { most_entries = 10000 };

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void closedirp(DIR **dir) {
  if (*dir)
    closedir(*dir);
}

static bool is_ours(const char *name, bool tests) {
  return name[0] != '.' && bt_ends(name, ".lua") && bt_ends(name, "_test.lua") == tests;
}

static void print_file(struct bt_buf *b, const char *name, const struct stat *st) {
  bt_buf_addf(b, "%s %lld %lld.%09ld %llu\n", name, (long long)st->st_size, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
              (unsigned long long)st->st_ino);
}

int bt_policy_folder(const char *dir, bool tests, struct bt_strs *names, char **print, struct bt_err **err) {
  __attribute__((cleanup(closedirp))) DIR *d = opendir(dir);
  BT_AUTO_BUF b = {0};
  if (!d && errno != ENOENT)
    return bt_err_errno(err, BT_IO, errno, "cannot read the folder of policies %s", dir);
  for (struct dirent *e; d && names->len < most_entries && (e = readdir(d));)
    if (is_ours(e->d_name, tests))
      bt_strs_add(names, e->d_name);
  if (names->len)
    qsort(names->items, names->len, sizeof *names->items, by_name);
  for (size_t i = 0; i < names->len;) {
    BT_AUTO_FREE char *path = bt_path_join(dir, names->items[i]);
    struct stat st;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
      print_file(&b, names->items[i++], &st);
    } else {
      free(names->items[i]);
      bt_vec_remove(names, i);
    }
  }
  if (print)
    *print = bt_buf_steal(&b);
  return 0;
}
