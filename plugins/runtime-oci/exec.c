/* exec, input and resize: a session that the host reads and writes. */
#include "config.h"
#include "session.h"

struct exec {
  struct ro_at at;
  json_t *spec;
  struct ro_session *session;
  struct pu_buf early; /* input that came before the session: at most 1 MiB, so much as the host gives without asking */
  bool early_end;
};

static void exec_drop(struct ro_op *op) {
  struct exec *e = (struct exec *)op;
  ro_session_stop(e->session);
  pu_buf_free(&e->early);
  json_decref(e->spec);
  free(e->at.name);
  free(e->at.signal);
}

static void exec_output(void *arg, int stream, const void *data, size_t len) {
  struct exec *e = arg;
  ro_op_emit(&e->at.op, stream == 2 ? BERTH_RUNTIME_STDERR : BERTH_RUNTIME_STDOUT, data, len);
}

static bool exec_room(void *arg) { return ro_op_room(&((struct exec *)arg)->at.op); }

/* A command that is not there is the shell's 127, as with any engine; the sentence goes where people look. */
static void exec_done(void *arg, enum berth_code code, const char *why, int exit_code) {
  struct exec *e = arg;
  e->session = NULL;
  bool command = code == BERTH_NOT_FOUND || code == BERTH_DENIED;
  if (code == BERTH_OK || (command && exit_code >= 126)) {
    if (code != BERTH_OK) {
      PU_AUTO_FREE line = pu_asprintf("%s\n", why);
      exec_output(e, 2, line, strlen(line));
    }
    ro_op_done(&e->at.op, json_pack("{s:i}", "exit_code", exit_code));
    return;
  }
  ro_op_fail(&e->at.op, code, "%s: %s", e->at.op.subject, why);
}

static void exec_go(struct ro_at *at, struct ro_container *c) {
  static const struct ro_session_events events = {.output = exec_output, .room = exec_room, .done = exec_done};
  struct exec *e = (struct exec *)at;
  if (c->state != RO_RUNNING) {
    ro_op_fail(&at->op, BERTH_CONFLICT, "%s: it %s", at->op.subject, c->state == RO_PAUSED ? "is paused: unpause it first" : "does not run");
    return;
  }
  e->session = ro_session_start(at->op.self, c, e->spec, &events, e);
  if (e->early.len)
    ro_session_input(e->session, e->early.data, e->early.len);
  if (e->early_end)
    ro_session_input(e->session, "", 0);
  pu_buf_free(&e->early);
}

static json_t *exec_spec(const struct berth_runtime_exec *r, json_t *command) {
  json_t *env = r->env_json ? pu_json_parse(r->env_json, strlen(r->env_json)) : NULL;
  json_t *spec = json_pack("{s:o, s:b, s:b, s:b}", "args", command, "tty", r->tty, "privileged", r->privileged, "stdin", r->stdin_open);
  if (env)
    json_object_set_new(spec, "env", env);
  if (r->user && *r->user)
    json_object_set_new(spec, "user", ro_text(r->user));
  if (r->workdir && *r->workdir)
    json_object_set_new(spec, "cwd", ro_text(r->workdir));
  if (r->rows > 0 && r->cols > 0) {
    json_object_set_new(spec, "rows", json_integer(r->rows));
    json_object_set_new(spec, "cols", json_integer(r->cols));
  }
  return spec;
}

void ro_exec(struct berth_instance *self, berth_op id, const struct berth_runtime_exec *r) {
  struct exec *e = ro_at_new(self, id, sizeof *e, r->id, exec_drop);
  json_t *command = r->command_json ? pu_json_parse(r->command_json, strlen(r->command_json)) : NULL;
  if (!*e->at.name || !json_is_array(command) || !json_array_size(command)) {
    json_decref(command);
    ro_op_fail(&e->at.op, BERTH_INVALID, "%s: a container and a command (a list of words) must be given", e->at.op.subject);
    return;
  }
  e->spec = exec_spec(r, command);
  ro_at_begin(&e->at, false, exec_go);
}

static struct exec *exec_of(struct berth_instance *self, berth_op id) {
  struct ro_op *op = ro_op_find(self, id);
  return op && op->drop == exec_drop ? (struct exec *)op : NULL;
}

size_t ro_input(struct berth_instance *self, berth_op id, const void *data, size_t len) {
  struct exec *e = exec_of(self, id);
  if (!e)
    return 0;
  if (e->session)
    return ro_session_input(e->session, data, len);
  pu_buf_add(&e->early, data, len);
  e->early_end = e->early_end || !len;
  return e->early.len;
}

void ro_resize(struct berth_instance *self, berth_op id, int32_t rows, int32_t cols) {
  struct exec *e = exec_of(self, id);
  if (e && e->session && rows > 0 && cols > 0 && rows < 65536 && cols < 65536)
    ro_session_resize(e->session, rows, cols);
}
