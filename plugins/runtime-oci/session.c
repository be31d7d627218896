#include "config.h"
#include "session.h"

#include "monitor/frames.h"

struct ro_session {
  struct ro_process *process;
  struct ro_session_events events;
  void *arg;
  struct ro_frames frames;
  struct pu_buf said; /* what the program complained of, its beginning */
  bool ended;         /* the last frame came */
  enum berth_code code;
  char *why;
  int exit_code;
};

static void session_free(struct ro_session *s) {
  ro_frames_free(&s->frames);
  pu_buf_free(&s->said);
  free(s->why);
  free(s);
}

static bool take_frame(void *arg, enum ro_frame type, const char *data, size_t len) {
  struct ro_session *s = arg;
  if (type == RO_FRAME_OUT || type == RO_FRAME_ERR) {
    s->events.output(s->arg, type == RO_FRAME_ERR ? 2 : 1, data, len);
    return true;
  }
  PU_AUTO_JSON v = pu_json_parse(data, len);
  s->ended = true;
  s->exit_code = (int)pu_int(v, "exit_code", 255);
  if (type != RO_FRAME_EXIT) {
    s->code = ro_code_named(pu_str(v, "code"));
    pu_set(&s->why, pu_strdup(pu_str_or(v, "error", "the command could not be run")));
  }
  return true;
}

static void on_data(void *arg, int stream, const void *data, size_t len) {
  struct ro_session *s = arg;
  enum { most_said = 1024 };
  if (stream == 2)
    pu_buf_add(&s->said, data, s->said.len + len < most_said ? len : 0);
  else if (!s->ended && !ro_frames_feed(&s->frames, data, len, take_frame, s)) {
    s->ended = true;
    s->code = BERTH_INTERNAL;
    pu_set(&s->why, pu_strdup("berth-monitor speaks otherwise than this plug-in: are both of one version?"));
  }
}

static bool on_room(void *arg) {
  struct ro_session *s = arg;
  return !s->events.room || s->events.room(s->arg);
}

static void on_done(void *arg, int status) {
  struct ro_session *s = arg;
  void (*done)(void *, enum berth_code, const char *, int) = s->events.done;
  void *to = s->arg;
  PU_AUTO_FREE why = pu_strdup(s->why);
  enum berth_code code = s->code;
  int exit_code = s->exit_code;
  if (status == RO_NOT_STARTED) {
    code = BERTH_UNAVAILABLE;
    pu_set(&why, pu_strdup("berth-monitor cannot be run: is Berth installed whole, and programs right?"));
  } else if (!s->ended) {
    code = BERTH_INTERNAL;
    pu_set(&why, pu_asprintf("berth-monitor ended with %d: %s", status, s->said.data ? s->said.data : ""));
  }
  session_free(s);
  done(to, code, why ? why : "", exit_code);
}

static void send_frame(struct ro_session *s, enum ro_frame type, const void *data, size_t len) {
  PU_AUTO_BUF frame = {0};
  ro_frame_add(&frame, type, data, len);
  ro_process_write(s->process, frame.data, frame.len);
}

struct ro_session *ro_session_start(struct berth_instance *self, const struct ro_container *c, const json_t *spec,
                                    const struct ro_session_events *events, void *arg) {
  static const struct ro_process_events mine = {.data = on_data, .room = on_room, .done = on_done};
  struct ro_session *s = pu_new(struct ro_session);
  s->events = *events;
  s->arg = arg;
  PU_AUTO_FREE program = ro_program(self, "berth-monitor");
  PU_AUTO_FREE run = ro_run_dir(self, c);
  PU_AUTO_FREE text = pu_json_text(spec);
  const char *argv[] = {program, "exec", run, NULL};
  s->process = ro_process_start(self, argv, &mine, s);
  send_frame(s, RO_FRAME_SPEC, text, strlen(text));
  return s;
}

size_t ro_session_input(struct ro_session *s, const void *data, size_t len) {
  send_frame(s, len ? RO_FRAME_DATA : RO_FRAME_EOF, data, len);
  return ro_process_write(s->process, "", 0);
}

void ro_session_resize(struct ro_session *s, int rows, int cols) {
  PU_AUTO_FREE text = pu_asprintf("{\"rows\":%d,\"cols\":%d}", rows, cols);
  send_frame(s, RO_FRAME_RESIZE, text, strlen(text));
}

void ro_session_stop(struct ro_session *s) {
  if (!s)
    return;
  ro_process_stop(s->process);
  session_free(s);
}
