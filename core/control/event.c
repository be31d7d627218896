#include "config.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/plant.h"
#include "control/internal.h"

static void event_key(uint64_t id, char buf[24]) { snprintf(buf, 24, "%016llx", (unsigned long long)id); }

static void event_clear(struct ctl_event *event) {
  free(event->text);
  *event = (struct ctl_event){0};
}

static const char *append(struct bt_buf *b, size_t *at, const char *text) {
  *at = b->len;
  if (text)
    bt_buf_add(b, text, strlen(text) + 1);
  return text;
}

/* The text and what filters ask for, in one allocation: there are many events. */
static void pack(struct ctl_event *event, const json_t *o, const char *text, size_t len) {
  struct bt_buf b = {0};
  size_t ns, app, type;
  bt_buf_add(&b, text, len);
  bt_buf_addc(&b, 0);
  bool has_ns = append(&b, &ns, bt_json_str(o, "namespace")), has_app = append(&b, &app, bt_json_str(o, "app"));
  append(&b, &type, bt_json_str_or(o, "type", ""));
  event->text = bt_memdup(b.data, b.len);
  event->ns = has_ns ? event->text + ns : NULL;
  event->app = has_app ? event->text + app : NULL;
  event->type = event->text + type;
  bt_buf_free(&b);
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

static struct ctl_event *event_at(const struct bt_control *c, size_t i) {
  return &c->events[(c->events_first + i) % (size_t)c->keep_events];
}

static void remember(struct bt_control *c, const json_t *o, const char *text, size_t len) {
  if (c->events_len == (size_t)c->keep_events)
    forget_oldest(c);
  struct ctl_event *event = event_at(c, c->events_len++);
  event->id = (uint64_t)bt_json_int(o, "id", 0);
  event->revision = (uint64_t)bt_json_int(o, "revision", 0);
  pack(event, o, text, len);
  if (!BT_PLANT(EVENT_IDS))
    c->event_seq = BT_MAX(c->event_seq, event->id);
}

const char *ctl_event_text(const struct bt_control *c, uint64_t id) {
  size_t low = 0, high = c->events_len;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (event_at(c, middle)->id < id)
      low = middle + 1;
    else
      high = middle;
  }
  return low < c->events_len && event_at(c, low)->id == id ? event_at(c, low)->text : NULL;
}

void ctl_event_add(struct bt_control *c, json_t *event_steal) {
  char buf[32], key[24];
  bt_json_set_int(event_steal, "id", (long long)++c->event_seq);
  bt_json_set_int(event_steal, "revision", (long long)c->revision + 1);
  bt_json_set_str(event_steal, "time", bt_clock_format(ctl_wall(c), buf));
  event_key(c->event_seq, key);
  char *text = bt_json_text(event_steal);
  remember(c, event_steal, text, strlen(text));
  bt_batch_put(&c->fx->batch, "event", key, text);
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
  remember(c, event, text, len);
}
