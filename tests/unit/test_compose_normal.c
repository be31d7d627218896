/* The canonical model against what the reference makes of the same files: tests/compose/normal.cases. */
#include "config.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "compose/compose.h"
#include "tap.h"

static const char *const files[][2] = {
    {"/srv/app/compose.yaml", NULL}, /* the case itself */
    {"/srv/app/e1.env", "A=1\nQ=file\nN=file\nB=\"x ${A} ${HOME}\"\nE=2\nF=$E\n"},
    {"/srv/app/e2.env", "A=2\nG=${A}\nexport H=h # c\nNOVAL\n"},
    {"/srv/app/l.env", "Q=file\nL=1\nM=${L}\n"},
};

static int read_case(void *arg, const char *path, size_t max, char **out, size_t *len, struct bt_err **err) {
  (void)max;
  for (size_t i = 0; i < BT_COUNT(files); i++)
    if (bt_streq(path, files[i][0])) {
      *out = bt_strdup(i ? files[i][1] : arg);
      *len = strlen(*out);
      return 0;
    }
  return bt_err_set(err, BT_NOT_FOUND, "cannot open %s: No such file or directory", path);
}

static const char *env_case(void *arg, const char *name) {
  (void)arg;
  return bt_streq(name, "HOME") ? "/home/me" : NULL;
}

static void check_model(const char *title, const struct bt_compose_result *result, const char *want) {
  BT_AUTO_JSON model = json_loads(want, 0, NULL);
  if (ok(bt_json_equal(model, result->model), "%s: the reference's model", title))
    return;
  BT_AUTO_FREE char *got = result->model ? json_dumps(result->model, JSON_COMPACT | JSON_SORT_KEYS) : bt_diags_text(&result->diags);
  printf("# got:  %s\n# want: %s\n", got, want);
}

static void check_errors(const char *title, const struct bt_compose_result *result, const char *want) {
  BT_AUTO_BUF got = {0};
  bt_vec_each(&result->diags, d) {
    if (d->severity != BT_SEV_ERROR)
      continue;
    if (d->line)
      bt_buf_addf(&got, "%s:%d:%d: error: %s\n", d->file, d->line, d->col, d->message);
    else
      bt_buf_addf(&got, "error: %s\n", d->message);
  }
  is_str(got.data ? got.data : "", want, title);
}

static void run_case(const char *title, char *text, const char *want) {
  struct bt_compose_source source = {read_case, env_case, text};
  struct bt_compose_options options = {.skip_berth_checks = true};
  struct bt_compose_result result = {0};
  bt_strs_add(&options.files, "/srv/app/compose.yaml");
  int rc = bt_compose_load(&source, &options, &result);
  ok((rc == 0) == (want[0] == '{'), "%s: %s", title, want[0] == '{' ? "accepted" : "refused");
  if (want[0] == '{')
    check_model(title, &result, want);
  else
    check_errors(title, &result, want);
  bt_compose_result_free(&result);
  bt_compose_options_free(&options);
}

int main(void) {
  BT_AUTO_FREE char *path = bt_asprintf("%s/tests/compose/normal.cases", getenv("srcdir") ? getenv("srcdir") : ".");
  BT_AUTO_FREE char *text = NULL;
  BT_AUTO_ERR err = NULL;
  size_t len;
  if (bt_file_read(path, 1 << 20, &text, &len, &err)) {
    ok(false, "%s", bt_err_message(err));
    return done_testing();
  }
  int cases = 0;
  for (char *p = strstr(text, "\n### "); p;) {
    char *title = p + 5, *body = strchr(title, '\n'), *next = strstr(body, "\n### "), *want = strstr(body, "\n===\n");
    if (next)
      next[1] = '\0';
    *body++ = '\0';
    want[1] = '\0';
    run_case(title, body, want + 5);
    cases++;
    p = next;
  }
  ok(cases > 80, "%d cases", cases);
  return done_testing();
}
