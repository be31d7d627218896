/* The verbs about images of the node. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "cli/cli.h"
#include "cli/list.h"

enum { image_timeout_ms = 600000, max_line = 20 << 20 };

int bt_verb_image_ls(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column columns[] = {{"IMAGE", "tags", BT_CELL_JOINED},   {"ID", "id", BT_CELL_DIGEST},      {"PLATFORM", "platform", BT_CELL_TEXT},
                                             {"CREATED", "created", BT_CELL_AGE}, {"SIZE", "size", BT_CELL_BYTES},   {NULL, NULL, BT_CELL_TEXT}};
  BT_AUTO_JSON result = NULL;
  if (bt_cli_connect(cli, err) || bt_conn_call(cli->conn, "GET", "/v1/images", NULL, image_timeout_ms, &result, err))
    return -1;
  json_t *images = bt_json_arr(result, "images");
  BT_AUTO_JSON none = json_array();
  return bt_list_print(cli, columns, "id", images ? images : none);
}

/* What was removed, a line each (names, ids, an engine's layers: so lines are not counted as images), and the room it gave. */
static int removed_print(struct bt_cli *cli, const json_t *result) {
  char freed[32];
  if (cli->json) {
    bt_out_json(result);
    return 0;
  }
  const json_t *removed = bt_json_arr(result, "removed");
  size_t i;
  json_t *image;
  json_array_foreach(removed, i, image) if (json_is_string(image)) bt_cli_say("%s\n", json_string_value(image));
  if (json_array_size(removed))
    bt_cli_say("Removed, %s freed.\n", bt_out_bytes(bt_json_int(result, "freed", 0), freed));
  else
    bt_cli_say("There was nothing to remove.\n");
  return 0;
}

int bt_verb_image_prune(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_JSON result = NULL;
  if (bt_cli_connect(cli, err) || bt_conn_call(cli->conn, "POST", "/v1/images/prune", NULL, image_timeout_ms, &result, err))
    return -1;
  return removed_print(cli, result);
}

int bt_verb_image_rm(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_JSON removed = json_array();
  long long freed = 0;
  int rc = bt_cli_connect(cli, err);
  for (size_t i = 0; rc == 0 && i < cli->args.rest.len; i++) {
    BT_AUTO_JSON body = json_pack("{ss}", "image", cli->args.rest.items[i]);
    BT_AUTO_JSON result = NULL;
    rc = bt_conn_call(cli->conn, "POST", "/v1/images/remove", body, image_timeout_ms, &result, err);
    json_array_extend(removed, bt_json_arr(result, "removed"));
    freed += bt_json_int(result, "freed", 0);
  }
  if (rc == 0 || json_array_size(removed)) {
    BT_AUTO_JSON all = json_pack("{sOsI}", "removed", removed, "freed", (json_int_t)freed);
    removed_print(cli, all);
  }
  return rc;
}

/* ---------------------------------------------------------------- pull, import, load */

/* An answer in lines: progress, and its result or error in the last. */
struct fetch {
  struct bt_cli *cli;
  struct bt_buf rest;
  struct bt_map *told; /* layer -> what was said of it last */
  json_t *result;
  struct bt_err **err;
  bool failed;
};

/* Each layer's words once; bytes on their way are for JSON readers, who get every line. */
static void progress_say(struct fetch *f, const json_t *o) {
  const char *text = bt_json_str_or(o, "text", ""), *layer = bt_json_str_or(o, "layer", "");
  const char *before = bt_map_get(f->told, layer);
  if (f->cli->json || (*layer && bt_streq(before, text)))
    return;
  bt_map_set(f->told, layer, bt_strdup(text));
  bt_cli_say("%s%s%s\n", layer, *layer ? ": " : "", text);
}

static void fetch_line(struct fetch *f, const char *text, size_t len) {
  BT_AUTO_JSON o = bt_json_parse(text, len, 0, 0, "answer", NULL);
  const char *error = bt_json_str(o, "error");
  if (error) {
    f->failed = true;
    bt_err_set(f->err, bt_code_from_name(bt_json_str_or(o, "code", "")), "%s", error);
  } else if (json_object_get(o, "result")) {
    f->result = json_incref(json_object_get(o, "result"));
  } else if (o) {
    progress_say(f, o);
  }
}

static bool fetch_data(void *arg, const void *data, size_t len) {
  struct fetch *f = arg;
  const char *p = data, *end = p + len;
  while (p < end) {
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    size_t n = (size_t)((nl ? nl : end) - p);
    if (f->rest.len + n <= max_line)
      bt_buf_add(&f->rest, p, n);
    if (nl) {
      fetch_line(f, f->rest.data ? f->rest.data : "", f->rest.len);
      bt_buf_truncate(&f->rest, 0);
    }
    p += n + (nl != NULL);
  }
  return true;
}

static void fetch_end(void *arg, const struct bt_err *err) {
  struct fetch *f = arg;
  if (err && !f->failed)
    bt_err_set(f->err, bt_err_code(err), "%s", bt_err_message(err));
  else if (!f->result && !f->failed)
    bt_err_set(f->err, BT_UNAVAILABLE, "the server ended the answer before it was whole: ask again");
  f->failed |= err || !f->result;
  bt_loop_stop(f->cli->conn->loop);
}

static void image_say(const json_t *image) {
  size_t i;
  json_t *tag;
  json_array_foreach(bt_json_arr(image, "tags"), i, tag) bt_cli_say("%s ", json_string_value(tag));
  bt_cli_say("%s\n", bt_json_str_or(image, "id", ""));
}

static int fetch(struct bt_cli *cli, const char *path, const json_t *body, struct bt_err **err) {
  if (bt_cli_connect(cli, err))
    return -1;
  struct fetch f = {.cli = cli, .told = bt_map_new(free), .err = err};
  bt_conn_stream(cli->conn, &(struct bt_conn_stream){.method = "POST", .path = path, .body = body, .data = fetch_data, .end = fetch_end, .arg = &f});
  bt_loop_run(cli->conn->loop);
  if (f.result && cli->json)
    bt_out_json(f.result);
  else if (f.result && bt_json_arr(f.result, "images")) {
    size_t i;
    json_t *image;
    json_array_foreach(bt_json_arr(f.result, "images"), i, image) image_say(image);
  } else if (f.result)
    image_say(f.result);
  bt_map_free(&f.told);
  bt_buf_free(&f.rest);
  json_decref(f.result);
  return f.failed ? -1 : 0;
}

int bt_verb_image_pull(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_JSON body = json_pack("{ss}", "image", cli->args.rest.items[0]);
  bt_json_set_str(body, "platform", bt_args_text(&cli->args, "platform"));
  return fetch(cli, "/v1/images/pull", body, err);
}

static int import_path(struct bt_cli *cli, const char *path, const char *name, struct bt_err **err) {
  BT_AUTO_JSON body = json_pack("{ss}", "path", path);
  bt_json_set_str(body, "name", name);
  return fetch(cli, "/v1/images/import", body, err);
}

int bt_verb_image_import(struct bt_cli *cli, struct bt_err **err) {
  const char *given = cli->args.rest.items[0];
  if (bt_streq(given, "-"))
    return bt_err_set(err, BT_INVALID, "berth image import reads a file or a folder: what reads standard input is berth image load");
  BT_AUTO_FREE char *path = realpath(given, NULL);
  if (!path && given[0] != '/') /* an absolute path may be of the server's machine */
    return bt_err_errno(err, BT_NOT_FOUND, errno, "%s", given);
  return import_path(cli, path ? path : given, cli->args.rest.len > 1 ? cli->args.rest.items[1] : NULL, err);
}

static int copy_stdin(int to, struct bt_err **err) {
  static char piece[1 << 18];
  ssize_t n;
  while ((n = read(STDIN_FILENO, piece, sizeof piece)) > 0 || (n < 0 && errno == EINTR))
    for (ssize_t at = 0; at < n;) {
      ssize_t w = write(to, piece + at, (size_t)(n - at));
      if (w < 0 && errno != EINTR)
        return bt_err_errno(err, BT_IO, errno, "a temporary file for the archive");
      at += w > 0 ? w : 0;
    }
  return n < 0 ? bt_err_errno(err, BT_IO, errno, "standard input") : 0;
}

/* Who asks knows nothing of the file that the server was given: an error about it is about standard input. */
static void path_hide(const char *path, struct bt_err **err) {
  const char *text = err ? bt_err_message(*err) : "";
  if (!bt_starts(text, path))
    return;
  struct bt_err *told = NULL;
  bt_err_set(&told, bt_err_code(*err), "standard input%s", text + strlen(path));
  bt_err_free(err);
  *err = told;
}

/* The server reads files, not our standard input: so it becomes one, on this machine. */
int bt_verb_image_load(struct bt_cli *cli, struct bt_err **err) {
  char path[] = "/var/tmp/berth-load-XXXXXX";
  if (cli->args.rest.len && !bt_streq(cli->args.rest.items[0], "-"))
    return bt_verb_image_import(cli, err);
  if (bt_cli_connect(cli, err))
    return -1;
  if (!cli->conn->unix_socket)
    return bt_err_set(err, BT_UNSUPPORTED, "berth image load reads an archive for a server on this machine: copy the archive to the server's, and berth image import it there");
  if (isatty(STDIN_FILENO))
    return bt_err_set(err, BT_INVALID, "berth image load reads an archive from standard input: docker save IMAGE | berth image load; of a file: berth image import FILE");
  BT_AUTO_CLOSE int fd = mkostemp(path, O_CLOEXEC);
  if (fd < 0)
    return bt_err_errno(err, BT_IO, errno, "%s", path);
  int rc = copy_stdin(fd, err);
  if (rc == 0)
    rc = import_path(cli, path, NULL, err);
  unlink(path);
  if (rc != 0)
    path_hide(path, err);
  return rc;
}
