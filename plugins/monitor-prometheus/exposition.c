#include "exposition.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>

enum { max_accept = 4096 };

struct family {
  char *name;
  struct pu_buf text;
};

struct mp_exposition {
  bool openmetrics;
  size_t max_series, series, dropped;
  struct family *families;
  size_t n, cap, last;
};

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
static const char digits[] = "0123456789";

struct mp_exposition *mp_exposition_new(bool openmetrics, size_t max_series) {
  struct mp_exposition *e = pu_new(struct mp_exposition);
  e->openmetrics = openmetrics;
  e->max_series = max_series;
  return e;
}

void mp_exposition_free(struct mp_exposition **ep) {
  struct mp_exposition *e = *ep;
  if (!e)
    return;
  for (size_t i = 0; i < e->n; i++) {
    free(e->families[i].name);
    pu_buf_free(&e->families[i].text);
  }
  free(e->families);
  free(e);
  *ep = NULL;
}

size_t mp_exposition_dropped(const struct mp_exposition *e) { return e->dropped; }

/* ---------------------------------------------------------------- text */

static bool name_ok(const char *name, bool colons) {
  if (!name || !*name || strchr(digits, *name))
    return false;
  for (const char *p = name; *p; p++)
    if (!strchr(letters, *p) && !strchr(digits, *p) && !(colons && *p == ':'))
      return false;
  return true;
}

/* Backslash and line feed are escaped everywhere, quotes in label values, and in OpenMetrics' help, too. Other control bytes are
 * allowed by both formats, but help nobody: a space each. */
static void add_escaped(struct pu_buf *b, const char *s, bool quotes) {
  for (; *s; s++) {
    if (*s == '\\')
      pu_buf_adds(b, "\\\\");
    else if (*s == '\n')
      pu_buf_adds(b, "\\n");
    else if (*s == '"' && quotes)
      pu_buf_adds(b, "\\\"");
    else
      pu_buf_addc(b, (unsigned char)*s < ' ' ? ' ' : *s);
  }
}

static void add_value(struct pu_buf *b, double v) {
  if (isnan(v))
    pu_buf_adds(b, "NaN");
  else if (isinf(v))
    pu_buf_adds(b, v > 0 ? "+Inf" : "-Inf");
  else if (v == floor(v) && fabs(v) < 1e15)
    pu_buf_addf(b, "%.0f", v);
  else
    pu_buf_addf(b, "%.17g", v);
}

static bool ends_total(const char *name) {
  size_t n = strlen(name);
  return n > 6 && strcmp(name + n - 6, "_total") == 0;
}

/* The name of HELP and TYPE lines: OpenMetrics names a counter's family without _total. */
static void add_family_name(struct pu_buf *b, const struct mp_exposition *e, const struct berth_metric_sample *s) {
  size_t n = strlen(s->name);
  if (e->openmetrics && s->kind == BERTH_COUNTER && ends_total(s->name))
    n -= 6;
  pu_buf_add(b, s->name, n);
}

static void add_head(const struct mp_exposition *e, struct pu_buf *b, const struct berth_metric_sample *s) {
  pu_buf_adds(b, "# HELP ");
  add_family_name(b, e, s);
  pu_buf_addc(b, ' ');
  add_escaped(b, s->help ? s->help : "", e->openmetrics);
  pu_buf_adds(b, "\n# TYPE ");
  add_family_name(b, e, s);
  pu_buf_adds(b, s->kind == BERTH_COUNTER ? " counter\n" : " gauge\n");
}

static void add_sample(const struct mp_exposition *e, struct pu_buf *b, const struct berth_metric_sample *s) {
  bool any = false;
  pu_buf_adds(b, s->name);
  if (e->openmetrics && s->kind == BERTH_COUNTER && !ends_total(s->name))
    pu_buf_adds(b, "_total");
  for (size_t i = 0; i < s->nlabels; i++) {
    if (!name_ok(s->labels[i].name, false) || !s->labels[i].value)
      continue;
    pu_buf_addf(b, "%c%s=\"", any ? ',' : '{', s->labels[i].name);
    add_escaped(b, s->labels[i].value, true);
    pu_buf_addc(b, '"');
    any = true;
  }
  pu_buf_adds(b, any ? "} " : " ");
  add_value(b, s->value);
  pu_buf_addc(b, '\n');
}

/* Families come one after the other, so the last one is nearly always it. */
static struct family *family_of(struct mp_exposition *e, const struct berth_metric_sample *s) {
  if (e->n && strcmp(e->families[e->last].name, s->name) == 0)
    return &e->families[e->last];
  for (e->last = 0; e->last < e->n; e->last++)
    if (strcmp(e->families[e->last].name, s->name) == 0)
      return &e->families[e->last];
  if (e->n == e->cap) {
    e->cap = e->cap ? e->cap * 2 : 64;
    e->families = realloc(e->families, e->cap * sizeof *e->families);
    if (!e->families)
      abort();
  }
  struct family *f = &e->families[e->n++];
  *f = (struct family){.name = pu_strdup(s->name)};
  add_head(e, &f->text, s);
  return f;
}

void mp_exposition_add(struct mp_exposition *e, const struct berth_metric_sample *s) {
  if (!name_ok(s->name, true))
    return;
  if (e->series == e->max_series) {
    e->dropped++;
    return;
  }
  e->series++;
  add_sample(e, &family_of(e, s)->text, s);
}

void mp_exposition_text(const struct mp_exposition *e, struct pu_buf *out) {
  for (size_t i = 0; i < e->n; i++)
    pu_buf_add(out, e->families[i].text.data, e->families[i].text.len);
  if (e->openmetrics)
    pu_buf_adds(out, "# EOF\n");
}

/* ---------------------------------------------------------------- negotiation */

/* The q of one element of Accept ("type/sub;a=b;q=0.5"); 0 where malformed. */
static double quality(const char *element, size_t n) {
  for (size_t i = 0; i + 2 < n; i++)
    if (element[i] == ';') {
      size_t k = i + 1;
      while (k < n && (element[k] == ' ' || element[k] == '\t'))
        k++;
      if (k + 2 < n && strncasecmp(element + k, "q=", 2) == 0) {
        PU_AUTO_FREE number = pu_strndup(element + k + 2, n - k - 2);
        char *end = NULL;
        double q = strtod(number, &end);
        return end != number && q >= 0 && q <= 1 ? q : 0;
      }
    }
  return 1;
}

static bool names(const char *element, size_t n, const char *type) {
  size_t len = strlen(type);
  return n >= len && strncasecmp(element, type, len) == 0 && (n == len || element[len] == ';' || element[len] == ' ');
}

bool mp_wants_openmetrics(const char *accept) {
  double open = 0, text = 0;
  if (!accept || strlen(accept) > max_accept)
    return false;
  for (const char *p = accept; *p;) {
    p += strspn(p, " \t,");
    size_t n = strcspn(p, ",");
    if (names(p, n, "application/openmetrics-text"))
      open = fmax(open, quality(p, n));
    else if (names(p, n, "text/plain") || names(p, n, "text/*"))
      text = fmax(text, quality(p, n));
    p += n;
  }
  return open > 0 && open >= text;
}

const char *mp_content_type(bool openmetrics) {
  return openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8" : "text/plain; version=0.0.4; charset=utf-8";
}
