#include "config.h"

#include <stdio.h>

#include "base/clock.h"
#include "control/internal.h"

static void event_key(uint64_t id, char buf[24]) { snprintf(buf, 24, "%016llx", (unsigned long long)id); }

static void event_clear(struct ctl_event *event) {
  free(event->text);
  free(event->ns);
  free(event->app);
  free(event->type);
  *event = (struct ctl_event){0};
}

void ctl_events_free(struct bt_control *c) {
  for (size_t i = 0; i < c->events_len; i++)
    event_clear(&c->events[(c->events_first + i) % (size_t)c->keep_events]);
  free(c->events);
}

static void forget_oldest(struct bt_control *c) {
  struct ctl_event *oldest = &c->events[c->events_first];
  char key[24];
  event_key(oldest->id, key);
  if (c->fx)
    ctl_del(c, "event", key);
  event_clear(oldest);
  c->events_first = (c->events_first + 1) % (size_t)c->keep_events;
  c->events_len--;
}

static void remember(struct bt_control *c, const json_t *o, char *text_steal) {
  if (c->events_len == (size_t)c->keep_events)
    forget_oldest(c);
  struct ctl_event *event = &c->events[(c->events_first + c->events_len++) % (size_t)c->keep_events];
  *event = (struct ctl_event){
      .id = (uint64_t)bt_json_int(o, "id", 0),
      .revision = (uint64_t)bt_json_int(o, "revision", 0),
      .text = text_steal,
      .ns = bt_strdup(bt_json_str(o, "namespace")),
      .app = bt_strdup(bt_json_str(o, "app")),
      .type = bt_strdup(bt_json_str_or(o, "type", "")),
  };
  c->event_seq = BT_MAX(c->event_seq, event->id);
}

void ctl_event_add(struct bt_control *c, json_t *event_steal) {
  char buf[32], key[24];
  bt_json_set_int(event_steal, "id", (long long)++c->event_seq);
  bt_json_set_int(event_steal, "revision", (long long)c->revision + 1);
  bt_json_set_str(event_steal, "time", bt_clock_format(c->now_ms, buf));
  event_key(c->event_seq, key);
  char *text = bt_json_text(event_steal);
  bt_batch_put(&c->fx->batch, "event", key, bt_strdup(text));
  remember(c, event_steal, text);
  json_decref(event_steal);
}

void ctl_event(struct bt_control *c, const char *severity, const char *type, const char *ns, const char *app, const char *subject,
               json_t *data_steal, const char *fmt, ...) {
  json_t *o = json_object();
  bt_json_set_str(o, "type", type);
  bt_json_set_str(o, "severity", severity);
  bt_json_set_str(o, "namespace", ns);
  bt_json_set_str(o, "app", app);
  bt_json_set_str(o, "subject", subject);
  va_list ap;
  va_start(ap, fmt);
  BT_AUTO_FREE char *message = bt_vasprintf(fmt, ap);
  va_end(ap);
  bt_json_set_str(o, "message", message);
  if (data_steal)
    bt_json_set(o, "data", data_steal);
  ctl_event_add(c, o);
}

void ctl_event_load(struct bt_control *c, const json_t *event, const char *text, size_t len) {
  remember(c, event, bt_strndup(text, len));
}
