/* What comes out of a pretended container: lines of its log, made up as they are asked for; answers to execs; figures of its use. */
#include "config.h"

#include <math.h>
#include <stdio.h>

#include "sim.h"

enum { most_lines = 10000, batch = 500, full_bytes = 1 << 20, again_ms = 20, exit_killed = 137 };

/* ---------------------------------------------------------------- logs: of the last run */

/* Line 0 comes at the start, one more each log_every; behind them one that tells the end. */
static int64_t lines_until(const struct sim_container *c, int64_t ms) {
  if (!c->started_ms || ms < c->started_ms)
    return 0;
  return (ms - c->started_ms) / c->self->settings.log_every + 1;
}

static int64_t lines_now(const struct sim_container *c) {
  return c->state == SIM_RUNNING ? lines_until(c, sim_now(c->self)) : lines_until(c, c->finished_ms) + (c->started_ms ? 1 : 0);
}

static int64_t time_of_line(const struct sim_container *c, int64_t i) {
  int64_t ms = c->started_ms + i * c->self->settings.log_every;
  return c->state == SIM_EXITED && i + 1 == lines_now(c) ? c->finished_ms : ms;
}

static char *line_text(const struct sim_container *c, int64_t i) {
  if (i == 0)
    return pu_asprintf("runtime-sim pretends to run %s, for the %lluth time: nothing really runs", c->key, (unsigned long long)c->run);
  if (c->state == SIM_EXITED && i + 1 == lines_now(c))
    return pu_asprintf("%s: it ends with exit code %d%s", c->key, c->exit_code, c->oom ? ", out of memory" : "");
  return pu_asprintf("%s: line %lld", c->key, (long long)i);
}

static size_t emit_line(struct sim_op *op, const struct sim_container *c, int64_t i) {
  PU_AUTO_FREE text = line_text(c, i);
  if (!pu_bool(op->args, "timestamps", false)) {
    PU_AUTO_FREE line = pu_asprintf("%s\n", text);
    return sim_op_emit(op, BERTH_RUNTIME_STDOUT, line, strlen(line));
  }
  char time[32];
  PU_AUTO_JSON o = json_pack("{s:s, s:s, s:s}", "time", sim_time_text(time_of_line(c, i), time), "stream", "stdout", "line", text);
  return sim_op_emit_json(op, BERTH_RUNTIME_LINE, o);
}

/* True where the reader has had enough for now, or a batch is over: it goes on by itself. */
static bool emit_some(struct sim_op *op, const struct sim_container *c, int64_t end, sim_run *go_on) {
  size_t waiting = sim_op_emit(op, BERTH_RUNTIME_STDOUT, NULL, 0);
  int n = 0;
  for (; op->next_line < end && n < batch && waiting <= full_bytes; n++)
    waiting = emit_line(op, c, op->next_line++);
  if (op->next_line >= end)
    return false;
  sim_op_again(op, waiting > full_bytes ? again_ms : 0, go_on);
  return true;
}

static void logs_go_on(struct sim_op *op) {
  const struct sim_container *c = sim_container_find(op->self, op->subject);
  int64_t until = pu_int(op->args, "until", 0);
  if (!c || (int64_t)c->run != pu_int(op->args, "run", 0)) {
    sim_op_done(op, NULL);
    return;
  }
  int64_t end = lines_now(c), last = until ? lines_until(c, until) : end;
  if (emit_some(op, c, last < end ? last : end, logs_go_on))
    return;
  int64_t now = sim_now(c->self), next = c->started_ms + op->next_line * c->self->settings.log_every;
  if (pu_bool(op->args, "follow", false) && c->state == SIM_RUNNING && (!until || next <= until))
    sim_op_again(op, next > now ? next - now : 0, logs_go_on);
  else
    sim_op_done(op, NULL);
}

static void logs(struct sim_op *op) {
  const struct sim_container *c = sim_container_of(op);
  if (!c)
    return;
  int64_t all = lines_now(c), tail = pu_int(op->args, "tail", -1), since = pu_int(op->args, "since", 0);
  int64_t most = tail >= 0 && tail < most_lines ? tail : most_lines;
  int64_t from = since > c->started_ms ? lines_until(c, since - 1) : 0;
  op->next_line = all > most ? all - most : 0;
  if (op->next_line < from)
    op->next_line = from;
  json_object_set_new(op->args, "run", json_integer((json_int_t)c->run));
  logs_go_on(op);
}

void sim_logs(struct berth_instance *self, berth_op id, const struct berth_runtime_logs *r) {
  const struct sim_container *c = sim_container_find(self, r->id);
  json_t *args = json_pack("{s:b, s:b, s:I, s:I, s:I}", "follow", r->follow, "timestamps", r->timestamps, "tail", (json_int_t)r->tail, "since",
                           (json_int_t)r->since_ms, "until", (json_int_t)r->until_ms);
  sim_op_begin(self, id, SIM_LOGS, r->id, c ? c->key : NULL, args, logs);
}

/* ---------------------------------------------------------------- exec */

static void exec_end(struct sim_op *op, int exit_code) { sim_op_done(op, json_pack("{s:i}", "exit_code", exit_code)); }

static void exec(struct sim_op *op) {
  const struct sim_container *c = sim_container_of(op);
  if (!c)
    return;
  if (c->state != SIM_RUNNING) {
    sim_op_fail(op, BERTH_CONFLICT, "container %s does not run", c->name);
    return;
  }
  bool sick = sim_life_sick(c);
  PU_AUTO_FREE text = pu_asprintf("runtime-sim pretends to run %s in %s%s\n", pu_str_or(op->args, "command", "?"), c->key,
                                  sick ? ", which is unhealthy" : "");
  int channel = sick && !pu_bool(op->args, "tty", false) ? BERTH_RUNTIME_STDERR : BERTH_RUNTIME_STDOUT;
  sim_op_emit(op, channel, text, strlen(text));
  op->waits_input = pu_bool(op->args, "stdin", false);
  if (!op->waits_input)
    exec_end(op, sick);
}

void sim_exec(struct berth_instance *self, berth_op id, const struct berth_runtime_exec *r) {
  const struct sim_container *c = sim_container_find(self, r->id);
  PU_AUTO_JSON command = r->command_json ? pu_json_parse(r->command_json, strlen(r->command_json)) : NULL;
  if (!json_is_string(json_array_get(command, 0))) {
    self->ops->finish(self->host, id, BERTH_INVALID, "exec: command_json is no array of texts", NULL);
    return;
  }
  PU_AUTO_FREE text = pu_json_text(command);
  json_t *args = json_pack("{s:s, s:b, s:b}", "command", text, "stdin", r->stdin_open, "tty", r->tty);
  sim_op_begin(self, id, SIM_EXEC, r->id, c ? c->key : NULL, args, exec);
}

/* What goes in comes out, as of cat. */
size_t sim_input(struct berth_instance *self, berth_op id, const void *data, size_t len) {
  struct sim_op *op = sim_op_find(self, id);
  if (!op || op->verb != SIM_EXEC)
    return 0;
  if (len && data)
    return sim_op_emit(op, BERTH_RUNTIME_STDOUT, data, len < full_bytes ? len : full_bytes);
  json_object_set_new(op->args, "stdin", json_false()); /* it may not have begun */
  if (op->waits_input)
    exec_end(op, 0);
  return 0;
}

void sim_resize(struct berth_instance *self, berth_op id, int32_t rows, int32_t cols) { (void)self, (void)id, (void)rows, (void)cols; }

void sim_streams_ended(const struct sim_container *c) {
  struct sim_op *next;
  for (struct sim_op *op = c->self->open; op; op = next) {
    next = op->next;
    if (strcmp(op->key, c->key) != 0)
      continue;
    if (op->verb == SIM_EXEC && op->waits_input)
      exec_end(op, exit_killed);
    else if (op->verb == SIM_LOGS && op->run == logs_go_on)
      sim_op_again(op, 0, logs_go_on);
  }
}

/* ---------------------------------------------------------------- stats */

enum { usual_memory = 256 << 20, wave_ms = 600000 };

int64_t sim_container_uses(const struct sim_container *c) {
  uint64_t seed = c->self->settings.seed;
  double wave = sin((double)(sim_now(c->self) % wave_ms) / wave_ms * 6.283185307), memory = (double)(c->memory > 0 ? c->memory : usual_memory);
  return c->state == SIM_RUNNING ? (int64_t)(memory * (0.2 + 0.5 * sim_draw(seed, "memory", c->key, 0)) * (1 + 0.05 * wave)) : 0;
}

static void stats(struct sim_op *op) {
  const struct sim_container *c = sim_container_of(op);
  if (!c)
    return;
  uint64_t seed = c->self->settings.seed;
  int64_t now = sim_now(c->self), ran = c->state == SIM_RUNNING ? now - c->started_ms : 0;
  ran = ran > 0 ? ran : 0;
  double busy = (c->cpus > 0 ? c->cpus : 1) * (0.02 + 0.5 * sim_draw(seed, "cpu", c->key, 0));
  double traffic = 1000 * sim_draw(seed, "traffic", c->key, 0); /* bytes in a millisecond */
  bool up = c->state == SIM_RUNNING;
  sim_op_done(op, json_pack("{s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:I}", "cpu_ns", (json_int_t)((double)ran * 1e6 * busy),
                            "cpu_system_ns", 0, "cpus", (json_int_t)c->self->settings.cpus, "memory",
                            (json_int_t)sim_container_uses(c), "memory_limit",
                            (json_int_t)(c->memory > 0 ? c->memory : c->self->settings.memory), "rx_bytes", (json_int_t)((double)ran * traffic),
                            "tx_bytes", (json_int_t)((double)ran * traffic * 2), "read_bytes", (json_int_t)((double)ran * traffic / 10), "write_bytes",
                            (json_int_t)((double)ran * traffic / 20), "pids", up ? 4 : 0, "time_ms", (json_int_t)now));
}

void sim_stats(struct berth_instance *self, berth_op id, const struct berth_runtime_container *r) {
  const struct sim_container *c = sim_container_find(self, r->id);
  sim_op_begin(self, id, SIM_STATS, r->id, c ? c->key : NULL, NULL, stats);
}

/* ---------------------------------------------------------------- files */

static void copy_in(struct sim_op *op) {
  if (sim_container_of(op))
    sim_op_done(op, NULL);
}

static void copy_out(struct sim_op *op) {
  const struct sim_container *c = sim_container_of(op);
  if (c)
    sim_op_fail(op, BERTH_NOT_FOUND, "container %s is pretended by runtime-sim: there are no files in it", c->name);
}

void sim_copy_in(struct berth_instance *self, berth_op id, const struct berth_runtime_copy *request) {
  sim_op_begin(self, id, SIM_COPY_IN, request->id, NULL, NULL, copy_in);
}

void sim_copy_out(struct berth_instance *self, berth_op id, const struct berth_runtime_copy *request) {
  sim_op_begin(self, id, SIM_COPY_OUT, request->id, NULL, NULL, copy_out);
}
