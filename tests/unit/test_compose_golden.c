/* Every case of tests/it/compose against its stored answer. expected.json is what the reference makes of the case
 * (tests/it/test_compose_oracle.sh --record writes them); expected.err is a part of the error that we give where the
 * reference refuses too. A case's folder appears as /srv/NAME. Its "args" are described in compose-oracle/main.go. */
#include "config.h"

#include <dirent.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "compose/compose.h"
#include "tap.h"

struct golden {
  const char *name;
  char *folder; /* where it really is */
  struct bt_compose_options options;
  char *project_name;
  struct bt_map *env;
};

static void golden_free(struct golden *g) {
  bt_compose_options_free(&g->options);
  bt_map_free(&g->env);
  free(g->folder);
  free(g->project_name);
}

/* Files of a case may lie above its folder ("../x"), but not outside of all cases. */
static int read_file(void *arg, const char *path, size_t max, char **out, size_t *len, struct bt_err **err) {
  const struct golden *g = arg;
  if (!bt_starts(path, "/srv/"))
    return bt_err_set(err, BT_NOT_FOUND, "cannot open %s", path);
  BT_AUTO_FREE char *cases = bt_path_dir(g->folder);
  BT_AUTO_FREE char *real = bt_path_join(cases, path + strlen("/srv/"));
  BT_AUTO_ERR hidden = NULL;
  if (bt_file_read(real, max, out, len, &hidden))
    return bt_err_set(err, bt_err_code(hidden), "cannot open %s", path);
  return 0;
}

static const char *get_env(void *arg, const char *name) { return bt_map_get(((struct golden *)arg)->env, name); }

static void add_path(struct golden *g, struct bt_strs *list, const char *value) {
  BT_AUTO_FREE char *path = bt_asprintf("/srv/%s/%s", g->name, value);
  bt_strs_add(list, path);
}

static void add_arg(struct golden *g, char *line) {
  char *value = strchr(line, ' ');
  if (!value)
    return;
  *value++ = 0;
  char *equals = strchr(value, '=');
  if (strcmp(line, "-f") == 0)
    add_path(g, &g->options.files, value);
  else if (strcmp(line, "--env-file") == 0)
    add_path(g, &g->options.env_files, value);
  else if (strcmp(line, "--profile") == 0)
    bt_strs_add(&g->options.profiles, value);
  else if (strcmp(line, "-p") == 0)
    bt_str_set(&g->project_name, value);
  else if (strcmp(line, "-e") == 0 && equals)
    bt_map_set(g->env, (*equals = 0, value), bt_strdup(equals + 1));
  else
    ok(false, "%s: args: unknown option %s %s", g->name, line, value);
}

static char *read_of(const struct golden *g, const char *file) {
  BT_AUTO_FREE char *path = bt_path_join(g->folder, file);
  char *text = NULL;
  return bt_file_exists(path) && bt_file_read(path, 1 << 20, &text, NULL, NULL) == 0 ? text : NULL;
}

static void check(const struct golden *g, const struct bt_compose_result *result) {
  BT_AUTO_FREE char *model = read_of(g, "expected.json");
  BT_AUTO_FREE char *error = read_of(g, "expected.err");
  BT_AUTO_FREE char *errors = bt_diags_text(&result->diags);
  if (error) {
    error[strcspn(error, "\n")] = 0;
    if (!ok(!result->model && strstr(errors, error), "%s: refused", g->name))
      printf("#  want: %s\n#   got: %s\n", error, errors);
    return;
  }
  BT_AUTO_JSON want = model ? json_loads(model, 0, NULL) : NULL;
  if (ok(want && result->model && bt_json_equal(want, result->model), "%s: the reference's model", g->name))
    return;
  BT_AUTO_FREE char *a = want ? bt_json_canonical(want) : NULL;
  BT_AUTO_FREE char *b = result->model ? bt_json_canonical(result->model) : NULL;
  printf("#  want: %s\n#   got: %s\n#   %s\n", a ? a : "(no expected.json)", b ? b : "(none)", errors);
}

static void run_case(const char *cases, const char *name) {
  __attribute__((cleanup(golden_free))) struct golden g = {
      .name = name, .folder = bt_path_join(cases, name), .env = bt_map_new(free), .options = {.skip_berth_checks = true}};
  bt_map_set(g.env, "HOME", bt_strdup("/home/me"));
  BT_AUTO_FREE char *args = read_of(&g, "args");
  for (char *save = NULL, *line = args ? strtok_r(args, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
    add_arg(&g, line);
  if (!g.options.files.len)
    add_path(&g, &g.options.files, "compose.yaml");
  g.options.project_name = g.project_name;
  struct bt_compose_source source = {read_file, get_env, &g};
  struct bt_compose_result result;
  int rc = bt_compose_load(&source, &g.options, &result);
  if ((rc == 0) != (result.model != NULL))
    ok(false, "%s: a model exactly where the load succeeds", name);
  check(&g, &result);
  bt_compose_result_free(&result);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int main(void) {
  const char *srcdir = getenv("srcdir");
  BT_AUTO_FREE char *cases = bt_path_join(srcdir ? srcdir : ".", "tests/it/compose");
  BT_AUTO_STRS names = {0};
  DIR *dir = opendir(cases);
  for (struct dirent *e; dir && (e = readdir(dir));)
    if (e->d_name[0] != '.')
      bt_strs_add(&names, e->d_name);
  if (dir)
    closedir(dir);
  if (names.len)
    qsort(names.items, names.len, sizeof *names.items, by_name);
  bt_vec_each(&names, name)
    run_case(cases, *name);
  ok(names.len >= 60, "there are at least 60 cases: %zu", names.len);
  return done_testing();
}
