/* berth.host.child/1 over the loop's child processes. */
#include "config.h"

#include <signal.h>

#include "base/log.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "plugin/complain.h"
#include "plugin/internal.h"

enum { default_timeout_ms = 60000 };

struct child {
  struct bt_resource base;
  struct bt_child *child;
  struct bt_loop *loop;
  const char *label;
  void (*done)(void *arg, int exit_status, const char *out, size_t out_len, const char *err, size_t err_len);
  void *arg;
};

/* The plug-in hears of the end now; the process is reaped by the loop, with nobody to tell. */
static void child_detach(struct bt_resource *resource, struct bt_plugin *entry) {
  struct child *c = (struct child *)resource;
  bt_child_kill(c->child);
  bt_loop_enter(c->loop, c->label);
  if (entry->self)
    c->done(c->arg, -SIGKILL, "", 0, "", 0);
  bt_loop_leave(c->loop);
  c->done = NULL;
}

static const struct bt_resource_kind child_kind = {.name = "child", .detach = child_detach};

static void child_done(void *arg, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct child *c = arg;
  bt_resource_del(&c->base);
  if (c->done) {
    bt_loop_enter(c->loop, c->label);
    c->done(c->arg, status, out, out_len, err, err_len);
    bt_loop_leave(c->loop);
  }
  free(c);
}

static berth_handle child_spawn(const struct berth_host *host, const struct berth_child_request *given) {
  struct bt_plugin *entry = bt_host_entry_live(host, "child.spawn");
  struct berth_child_request r;
  BT_TAKE(r, given);
  if (!entry || !r.argv || !r.argv[0] || !r.done)
    return 0;
  struct child *c = bt_new(struct child);
  c->done = r.done;
  c->arg = r.arg;
  c->loop = entry->plugins->loop;
  c->label = entry->cell->label;
  struct bt_child_request request = {.name = c->label,
                                     .argv = r.argv,
                                     .env = r.env,
                                     .cwd = r.cwd,
                                     .input = r.input,
                                     .input_len = r.input_len,
                                     .timeout_ms = r.timeout_ms > 0 ? r.timeout_ms : default_timeout_ms,
                                     .max_output = r.max_output,
                                     .done = child_done,
                                     .arg = c};
  BT_AUTO_ERR err = NULL;
  c->child = bt_child_spawn(c->loop, &request, &err);
  if (!c->child) {
    bt_complain(host, "%s", bt_err_message(err));
    free(c);
    return 0;
  }
  bt_resource_add(entry, &c->base, &child_kind);
  return c->base.id;
}

static void child_kill(const struct berth_host *host, berth_handle id) {
  struct bt_plugin *entry = bt_host_entry(host, "child.kill");
  struct bt_resource *resource = entry ? bt_resource_get(entry, id, &child_kind) : NULL;
  if (resource)
    bt_child_kill(((struct child *)resource)->child);
}

const struct berth_host_child bt_service_child = {.size = sizeof bt_service_child, .spawn = child_spawn, .kill = child_kill};
