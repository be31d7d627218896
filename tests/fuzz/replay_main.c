/* A fuzz target without a fuzzer: feeds every file of its corpus to LLVMFuzzerTestOneInput, one TAP line each. So what a
 * fuzzer once found stays a test of every build. Arguments name files or folders instead of the corpus. */
#include "config.h"

#include <dirent.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"
#include "tests/unit/tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay_file(const char *path) {
  BT_AUTO_FREE char *data = NULL;
  size_t size = 0;
  BT_AUTO_ERR err = NULL;
  if (bt_file_read(path, 64u << 20, &data, &size, &err)) {
    ok(false, "%s: %s", path, bt_err_message(err));
    return;
  }
  /* A copy of exactly this size, so that a sanitizer sees a read behind its end. */
  BT_AUTO_FREE uint8_t *exact = size ? bt_memdup(data, size) : NULL;
  LLVMFuzzerTestOneInput(exact, size);
  ok(true, "%s", bt_path_base(path));
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void replay(const char *path) {
  DIR *dir = opendir(path);
  if (!dir) {
    replay_file(path);
    return;
  }
  BT_AUTO_STRS names = {0};
  for (struct dirent *e; (e = readdir(dir));)
    if (e->d_name[0] != '.')
      bt_strs_add(&names, e->d_name);
  closedir(dir);
  if (names.len)
    qsort(names.items, names.len, sizeof *names.items, by_name);
  bt_vec_each(&names, name) {
    BT_AUTO_FREE char *file = bt_path_join(path, *name);
    replay_file(file);
  }
}

int main(int argc, char **argv) {
  const char *srcdir = getenv("srcdir"), *name = bt_path_base(argv[0]);
  name = bt_starts(name, "fuzz_") ? name + strlen("fuzz_") : name;
  BT_AUTO_FREE char *corpus = bt_asprintf("%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".", name);
  for (int i = 1; i < argc; i++)
    replay(argv[i]);
  if (argc < 2)
    replay(corpus);
  ok(tap_count > 0, "there was something to replay");
  return done_testing();
}
