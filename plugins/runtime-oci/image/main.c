/* berth-image ACTION: one action on the image store, for the plug-in runtime-oci. Its spec is a JSON object on standard input (secrets are
 * in no command line), progress and the last word ({"result"} or {"error","code"}) are JSON lines on standard output. Crash-only: it may
 * be killed at any time. */
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/util.h"
#include "action.h"
#include "files.h"
#include "progress.h"
#include "store.h"

enum { max_spec = 1 << 20 };

static json_t *spec_read(struct ri_why *why) {
  struct pu_buf text __attribute__((cleanup(pu_buf_free))) = {.secret = true};
  char piece[4096];
  ssize_t n;
  while ((n = read(STDIN_FILENO, piece, sizeof piece)) > 0 || (n < 0 && errno == EINTR))
    if (n > 0 && text.len + (size_t)n <= max_spec)
      pu_buf_add(&text, piece, (size_t)n);
  explicit_bzero(piece, sizeof piece);
  json_t *spec = pu_json_parse(text.data, text.len);
  const char *root = pu_str(spec, "root");
  if (root && root[0] == '/')
    return spec;
  json_decref(spec);
  ri_why_set(why, BERTH_INVALID, "the spec on standard input is no JSON object with an absolute \"root\"");
  return NULL;
}

static json_t *remove_image(struct ri_change *c, const json_t *spec, struct ri_why *why) {
  return ri_change_remove(c, pu_str_or(spec, "image", ""), pu_obj(spec, "users"), why);
}

static json_t *prune(struct ri_change *c, const json_t *spec, struct ri_why *why) {
  struct ri_prune how = {pu_arr(spec, "keep"), pu_str(spec, "label"), pu_int(spec, "unused_since_ms", 0), pu_int(spec, "max_bytes", -1)};
  return ri_change_prune(c, &how, why);
}

static json_t *collect(struct ri_change *c, const json_t *spec, struct ri_why *why) {
  struct ri_collect how = {.keep = pu_arr(spec, "keep"), .pins = pu_arr(spec, "pins"), .excess = pu_int(spec, "excess", 0), .max_bytes = pu_int(spec, "max_bytes", 0),
                           .before_ms = pu_int(spec, "before_ms", 0), .loose_ms = pu_int(spec, "loose_ms", 86400000)};
  return ri_change_collect(c, &how, why);
}

static json_t *gc(struct ri_change *c, const json_t *spec, struct ri_why *why) {
  (void)spec;
  int64_t freed = 0;
  return ri_change_sweep(c, &freed, why) < 0 ? NULL : json_pack("{s:[], s:I}", "removed", "freed", (json_int_t)freed);
}

static const struct {
  const char *name;
  json_t *(*run)(struct ri_change *c, const json_t *spec, struct ri_why *why);
} actions[] = {{"pull", ri_action_pull}, {"import", ri_action_import}, {"build", ri_action_build}, {"remove", remove_image}, {"prune", prune}, {"collect", collect}, {"gc", gc}};

/* Reads without a lock. */
static json_t *read_only(const char *action, const json_t *spec, struct ri_why *why) {
  const char *root = pu_str(spec, "root");
  if (pu_eq(action, "inspect"))
    return ri_store_inspect(root, pu_str_or(spec, "image", ""), pu_str(spec, "platform"), why);
  json_t *list = ri_store_list(root, pu_str(spec, "label"), why);
  return list ? json_pack("{s:o}", "images", list) : NULL;
}

/* The answer goes out before the layers are synced: whoever waits for it need not wait for the disk. */
static int change(const char *action, const json_t *spec, struct ri_why *why) {
  struct ri_change c;
  json_t *result = NULL;
  bool apart = !pu_eq(action, "build") || ri_build_apart(why) == 0;
  if (apart && ri_change_open(&c, pu_str(spec, "root"), why) == 0)
    for (size_t i = 0; i < PU_COUNT(actions); i++)
      if (pu_eq(actions[i].name, action))
        result = actions[i].run(&c, spec, why);
  int code = ri_result(result, why);
  close(STDIN_FILENO); /* it may be the same socket */
  close(STDOUT_FILENO);
  if (apart) {
    ri_change_sync(&c);
    ri_change_close(&c);
  }
  return code;
}

static bool known(const char *action) {
  for (size_t i = 0; i < PU_COUNT(actions); i++)
    if (pu_eq(actions[i].name, action))
      return true;
  return pu_eq(action, "inspect") || pu_eq(action, "list");
}

int main(int argc, char **argv) {
  if (argc == 3 && pu_eq(argv[1], "unpack"))
    return ri_unpack_main(argv[2]);
  if (argc != 2 || !known(argv[1])) {
    fprintf(stderr, "berth-image is started by berthd's plug-in runtime-oci: berth-image pull|import|build|inspect|list|remove|prune|collect|gc <SPEC\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  umask(077);
  RI_AUTO_WHY why = {0};
  PU_AUTO_JSON spec = spec_read(&why);
  if (!spec)
    return ri_result(NULL, &why);
  if (pu_eq(argv[1], "inspect") || pu_eq(argv[1], "list"))
    return ri_result(read_only(argv[1], spec, &why), &why);
  return change(argv[1], spec, &why);
}
