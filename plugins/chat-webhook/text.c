#define _GNU_SOURCE /* timegm, strptime */
#include "text.h"

#include <stdio.h>
#include <time.h>

enum { max_segments = 200, max_retry_s = 3600 };

static bool at_mention(const char *s) {
  static const char *const names[] = {"all", "channel", "here", "everyone"};
  for (size_t i = 0; i < PU_COUNT(names); i++)
    if (pu_starts(s, names[i]))
      return true;
  return false;
}

void cw_escape(struct pu_buf *out, const char *text) {
  for (const char *p = text; *p; p++) {
    if (*p == '&')
      pu_buf_adds(out, "&amp;");
    else if (*p == '<')
      pu_buf_adds(out, "&lt;");
    else if (*p == '>')
      pu_buf_adds(out, "&gt;");
    else if (*p == '@' && at_mention(p + 1))
      pu_buf_adds(out, "@\xe2\x80\x8b");
    else if ((unsigned char)*p >= ' ' || *p == '\n' || *p == '\t')
      pu_buf_addc(out, *p);
    else
      pu_buf_addc(out, ' ');
  }
}

void cw_cut(char *text, size_t limit) {
  static const char more[] = "…";
  if (strlen(text) <= limit)
    return;
  size_t n = limit > sizeof more - 1 ? limit - (sizeof more - 1) : 0;
  while (n && ((unsigned char)text[n] & 0xc0) == 0x80)
    n--;
  for (size_t back = n; back && n - back < 6; back--) /* half an entity would show */
    if (text[back - 1] == '&') {
      n = back - 1;
      break;
    } else if (text[back - 1] == ';') {
      break;
    }
  strcpy(text + n, limit > sizeof more - 1 ? more : "");
}

/* ---------------------------------------------------------------- templates */

struct segment {
  char *text; /* literal, or the name of a value */
  bool value;
};

struct cw_template {
  struct segment items[max_segments];
  size_t n;
};

static bool known(const char *name) {
  static const char *const names[] = {"type", "severity", "namespace", "app", "subject", "message", "time", "revision"};
  for (size_t i = 0; i < PU_COUNT(names); i++)
    if (pu_eq(names[i], name))
      return true;
  return pu_starts(name, "data.") && name[5];
}

void cw_template_free(struct cw_template **t) {
  if (!*t)
    return;
  for (size_t i = 0; i < (*t)->n; i++)
    free((*t)->items[i].text);
  free(*t);
  *t = NULL;
}

static char *trimmed(const char *s, size_t n) {
  while (n && (*s == ' ' || *s == '\t'))
    s++, n--;
  while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
    n--;
  return pu_strndup(s, n);
}

static void push(struct cw_template *t, char *text, bool value) {
  if (!value && !*text)
    free(text);
  else
    t->items[t->n++] = (struct segment){text, value};
}

/* NULL, or what is wrong. */
static char *parse(struct cw_template *t, const char *text) {
  for (const char *p = text; *p;) {
    if (t->n + 2 > max_segments)
      return pu_strdup("a template has at most 100 values");
    const char *open = strstr(p, "{{");
    push(t, pu_strndup(p, open ? (size_t)(open - p) : strlen(p)), false);
    if (!open)
      break;
    const char *close = strstr(open, "}}");
    if (!close)
      return pu_asprintf("template: \"%.20s\" is not closed with }}", open);
    char *name = trimmed(open + 2, (size_t)(close - open - 2));
    push(t, name, true);
    if (!known(name))
      return pu_asprintf("template: there is no {{%.64s}}; there are type, severity, namespace, app, subject, message, time, "
                         "revision and data.NAME",
                         name);
    p = close + 2;
  }
  return NULL;
}

struct cw_template *cw_template_new(const char *text, char **why) {
  struct cw_template *t = pu_new(struct cw_template);
  *why = parse(t, text);
  if (*why)
    cw_template_free(&t);
  return t;
}

static void add_data(struct pu_buf *out, const json_t *data, const char *name) {
  json_t *v = json_object_get(data, name);
  if (json_is_string(v)) {
    cw_escape(out, json_string_value(v));
  } else if (v && !json_is_null(v)) {
    PU_AUTO_FREE text = pu_json_text(v);
    cw_escape(out, text);
  }
}

static void add_value(struct pu_buf *out, const char *name, const struct berth_event *e, const json_t *data) {
  if (pu_starts(name, "data.")) {
    add_data(out, data, name + 5);
  } else if (pu_eq(name, "revision")) {
    pu_buf_addf(out, "%llu", (unsigned long long)e->revision);
  } else if (pu_eq(name, "time")) {
    char text[32];
    time_t s = (time_t)(e->time_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    pu_buf_adds(out, text);
  } else {
    const char *v = pu_eq(name, "type")        ? e->type
                    : pu_eq(name, "severity")  ? e->severity
                    : pu_eq(name, "namespace") ? e->namespace_
                    : pu_eq(name, "app")       ? e->app
                    : pu_eq(name, "subject")   ? e->subject
                                               : e->message;
    cw_escape(out, v ? v : "");
  }
}

char *cw_template_text(const struct cw_template *t, const struct berth_event *event) {
  struct pu_buf out = {0};
  PU_AUTO_JSON data = event->data_json ? pu_json_parse(event->data_json, strlen(event->data_json)) : NULL;
  for (size_t i = 0; i < t->n; i++) {
    if (t->items[i].value)
      add_value(&out, t->items[i].text, event, data);
    else
      pu_buf_adds(&out, t->items[i].text);
  }
  return pu_buf_steal(&out);
}

/* ---------------------------------------------------------------- small readings */

int cw_severity(const char *name) {
  return pu_eq(name, "info") ? 0 : pu_eq(name, "warning") ? 1 : pu_eq(name, "error") ? 2 : -1;
}

int64_t cw_retry_after(const char *value, int64_t now_ms) {
  size_t digits = strspn(value, "0123456789");
  int64_t s = -1;
  if (digits && !value[digits]) {
    s = digits > 9 ? max_retry_s : atoll(value);
  } else {
    struct tm tm = {0};
    const char *end = strptime(value, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (!end || *end)
      return -1;
    s = (int64_t)timegm(&tm) - now_ms / 1000;
    s = s < 0 ? 0 : s;
  }
  return s > max_retry_s ? max_retry_s : s;
}
