/* Lifecycle hooks (Compose post_start, pre_stop): commands run in the container, one after the other. */
#include "config.h"

#include "base/log.h"
#include "node/internal.h"

enum { hook_deadline_ms = 60000 };

struct hook_run {
  struct bt_inst *in; /* busy until the end, so it is not freed before */
  json_t *list;
  size_t next;
  void (*done)(struct bt_inst *in, const char *error);
};

static void run_end(struct hook_run *run, const char *error) {
  struct bt_inst *in = run->in;
  void (*done)(struct bt_inst *, const char *) = run->done;
  json_decref(run->list);
  free(run);
  in->op = 0;
  done(in, error);
}

static void run_next(struct hook_run *run);

static void hook_done(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct hook_run *run = arg;
  long long exit_code = code == BT_OK ? bt_json_int(result, "exit_code", 0) : 0;
  if (code == BT_OK && exit_code == 0) {
    run_next(run);
    return;
  }
  BT_AUTO_FREE char *text = code == BT_OK ? bt_asprintf("a hook ended with exit code %lld", exit_code) : bt_strdup(message);
  run_end(run, text);
}

/* The canonical model has a list; a bare string is a shell's. */
static char *hook_command(json_t *command) {
  if (!json_is_string(command))
    return bt_json_text(command);
  BT_AUTO_JSON list = json_pack("[ssO]", "/bin/sh", "-c", command);
  return bt_json_text(list);
}

static void run_next(struct hook_run *run) {
  json_t *hook = json_array_get(run->list, run->next++);
  if (!hook) {
    run_end(run, NULL);
    return;
  }
  BT_AUTO_FREE char *command_json = hook_command(json_object_get(hook, "command"));
  json_t *env = bt_json_obj(hook, "environment");
  BT_AUTO_FREE char *env_json = env ? bt_json_text(env) : NULL;
  struct berth_runtime_exec req = {sizeof req,
                                   .id = run->in->container_id,
                                   .command_json = command_json,
                                   .env_json = env_json,
                                   .user = bt_json_str(hook, "user"),
                                   .workdir = bt_json_str(hook, "working_dir"),
                                   .privileged = bt_json_bool(hook, "privileged", false)};
  struct bt_plugin_call call = {.method = "runtime.exec", .deadline_ms = hook_deadline_ms, .done = hook_done, .arg = run};
  run->in->op = bt_agent_call(run->in->agent, exec, &call, &req);
}

void bt_hooks_run(struct bt_inst *in, const char *which, void (*done)(struct bt_inst *in, const char *error)) {
  json_t *list = bt_json_arr(bt_json_obj(in->klass, "hooks"), which);
  if (!json_array_size(list)) {
    done(in, NULL);
    return;
  }
  struct hook_run *run = bt_new(struct hook_run);
  run->in = in;
  run->list = json_incref(list);
  run->done = done;
  run_next(run);
}
