#include "config.h"
#include "run.h"

#include "image/why.h"

enum { max_line = 20 << 20 };

struct ro_run {
  struct ro_op op; /* of our own: the entry's end is ours */
  struct ro_op *asker;
  struct ro_process *process;
  struct pu_buf line, complaints;
  bool answered;
  void (*done)(struct ro_op *asker, const json_t *result, enum berth_code code, const char *why);
};

static void run_drop(struct ro_op *op) {
  struct ro_run *run = (struct ro_run *)op;
  ro_process_stop(run->process);
  pu_buf_free(&run->line);
  pu_buf_free(&run->complaints);
}

void ro_run_forget(struct ro_run *run) {
  if (!run)
    return;
  run->asker = NULL;
  if (!run->answered)
    ro_op_drop(&run->op);
}

static void answer(struct ro_run *run, const json_t *result, enum berth_code code, const char *why) {
  struct ro_op *asker = run->asker;
  run->answered = true;
  run->asker = NULL;
  if (asker)
    run->done(asker, result, code, why);
}

static void line_came(struct ro_run *run, const char *text, size_t len) {
  PU_AUTO_JSON o = pu_json_parse(text, len);
  const char *error = pu_str(o, "error");
  if (run->answered || !o)
    return;
  if (error)
    answer(run, NULL, ri_code_named(pu_str_or(o, "code", "internal")), error);
  else if (pu_obj(o, "result"))
    answer(run, pu_obj(o, "result"), BERTH_OK, "");
  else if (run->asker)
    ro_op_emit_json(run->asker, BERTH_RUNTIME_PROGRESS, o);
}

static void data_came(void *arg, int stream, const void *data, size_t len) {
  struct ro_run *run = arg;
  const char *p = data, *end = p + len;
  if (stream == 2 && run->complaints.len < 4096)
    pu_buf_add(&run->complaints, data, len < 4096 ? len : 4096);
  while (stream == 1 && p < end) {
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    size_t n = (size_t)((nl ? nl : end) - p);
    if (run->line.len + n <= max_line)
      pu_buf_add(&run->line, p, n);
    if (nl) {
      line_came(run, run->line.data ? run->line.data : "", run->line.len);
      run->line.len = 0;
    }
    p += n + (nl != NULL);
  }
}

static bool room(void *arg) {
  const struct ro_run *run = arg;
  return !run->asker || ro_op_room(run->asker);
}

static void ended(void *arg, int status) {
  struct ro_run *run = arg;
  run->process = NULL;
  if (!run->answered && status == RO_NOT_STARTED)
    answer(run, NULL, BERTH_INTERNAL, "berth-image cannot be started: is it where the plug-in's \"programs\" says?");
  else if (!run->answered) {
    PU_AUTO_FREE why = pu_asprintf("berth-image ended by %s %d without an answer: %.*s", status < 0 ? "signal" : "exit code", status < 0 ? -status : status,
                                   (int)run->complaints.len, run->complaints.data ? run->complaints.data : "");
    answer(run, NULL, BERTH_INTERNAL, why);
  }
  ro_op_drop(&run->op);
}

struct ro_run *ro_run_start(struct ro_op *asker, const char *action, json_t *spec,
                            void (*done)(struct ro_op *asker, const json_t *result, enum berth_code code, const char *why)) {
  struct berth_instance *self = asker->self;
  struct ro_run *run = ro_op_new(self, 0, sizeof *run, run_drop, "berth-image %s", action);
  PU_AUTO_FREE program = ro_program(self, "berth-image");
  const char *argv[] = {program, action, NULL};
  static const struct ro_process_events events = {.data = data_came, .room = room, .done = ended};
  run->asker = asker;
  run->done = done;
  run->process = ro_process_start(self, argv, &events, run);
  char *text = pu_json_text(spec);
  ro_process_write(run->process, text, strlen(text));
  ro_process_end_input(run->process);
  pu_wipe_free(text);
  json_decref(spec);
  return run;
}
