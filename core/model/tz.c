#include "config.h"

#include "model/tz.h"

#include <string.h>

#include "base/mem.h"
#include "model/civil.h"

enum { HEADER = 44, MAX_NAME = 60, MAX_TYPES = 256, DAY = 86400 };
#define MAX_OFFSET (26 * 3600) /* RFC 8536: -24:59:59 to 25:59:59 */
/* Years in which the footer is asked; clocks that tell another year are broken. */
#define FIRST_S (-LAST_S)
#define LAST_S ((int64_t)1 << 40)

/* A day of the year and a time of it, as POSIX's TZ has them. */
struct rule {
  char kind;             /* 'M': month, week, day of the week; 'J': day 1 to 365, 29 February is never counted; 'N': day 0 to 365 */
  int month, week, day;
  int32_t time_s;
};

struct footer {
  bool any, dst;
  int32_t standard_s, dst_s; /* east of UTC */
  struct rule start, end;
};

struct bt_tz {
  size_t n;
  int64_t *at;     /* rising */
  int32_t *offset; /* from at[i] on */
  int32_t first;   /* before all of them */
  struct footer footer;
};

bool bt_tz_name_ok(const char *name) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-";
  if (!name || !*name || strlen(name) > MAX_NAME)
    return false;
  for (const char *p = name;; p++) {
    size_t part = strspn(p, letters);
    p += part;
    if (part == 0 || (*p != '/' && *p))
      return false;
    if (!*p)
      return true;
  }
}

/* ---- the footer ---- */

struct text {
  const char *p, *end;
};

static bool take(struct text *t, char c) {
  if (t->p == t->end || *t->p != c)
    return false;
  t->p++;
  return true;
}

static bool number(struct text *t, int max, int *out) {
  int n = 0, digits = 0;
  for (; t->p < t->end && *t->p >= '0' && *t->p <= '9' && digits < 4; t->p++, digits++)
    n = n * 10 + (*t->p - '0');
  *out = n;
  return digits > 0 && n <= max;
}

/* "CET", "<+0330>": what it is called says nothing here. */
static bool skip_name(struct text *t) {
  size_t n = 0;
  bool quoted = take(t, '<');
  for (; t->p < t->end; t->p++, n++) {
    char c = *t->p, lower = (char)(c | 32);
    bool letter = lower >= 'a' && lower <= 'z';
    if (!letter && !(quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-')))
      break;
  }
  return n >= 3 && (!quoted || take(t, '>'));
}

static bool hms(struct text *t, int max_hours, int32_t *out) {
  int h = 0, m = 0, s = 0;
  bool minus = take(t, '-');
  if (!minus)
    take(t, '+');
  if (!number(t, max_hours, &h) || (take(t, ':') && (!number(t, 59, &m) || (take(t, ':') && !number(t, 59, &s)))))
    return false;
  *out = (h * 3600 + m * 60 + s) * (minus ? -1 : 1);
  return true;
}

static bool read_rule(struct text *t, struct rule *r) {
  *r = (struct rule){.time_s = 2 * 3600};
  if (take(t, 'M')) {
    r->kind = 'M';
    if (!number(t, 12, &r->month) || r->month < 1 || !take(t, '.') || !number(t, 5, &r->week) || r->week < 1 || !take(t, '.') ||
        !number(t, 6, &r->day))
      return false;
  } else if (take(t, 'J')) {
    r->kind = 'J';
    if (!number(t, 365, &r->day) || r->day < 1)
      return false;
  } else {
    r->kind = 'N';
    if (!number(t, 365, &r->day))
      return false;
  }
  return !take(t, '/') || hms(t, 167, &r->time_s);
}

/* POSIX counts to the west. */
static bool read_offset(struct text *t, int32_t *out) {
  int32_t west;
  if (!hms(t, 24, &west))
    return false;
  *out = -west;
  return true;
}

static bool read_footer(struct text t, struct footer *f) {
  if (t.p == t.end)
    return true;
  f->any = true;
  if (!skip_name(&t) || !read_offset(&t, &f->standard_s))
    return false;
  if (t.p == t.end)
    return true;
  f->dst = true;
  f->dst_s = f->standard_s + 3600;
  if (!skip_name(&t) || (t.p < t.end && *t.p != ',' && !read_offset(&t, &f->dst_s)))
    return false;
  return take(&t, ',') && read_rule(&t, &f->start) && take(&t, ',') && read_rule(&t, &f->end) && t.p == t.end;
}

/* Local seconds since 1970 of a rule in a year. */
static int64_t rule_local(const struct rule *r, int64_t year) {
  int64_t first = bt_days_of(year, 1, 1), day;
  if (r->kind == 'M') {
    int64_t month = bt_days_of(year, r->month, 1);
    int ahead = (r->day - bt_weekday_of(month) + 7) % 7 + (r->week - 1) * 7;
    day = month + (ahead >= bt_month_days(year, r->month) ? ahead - 7 : ahead); /* week 5 is the last one */
  } else {
    day = first + r->day - (r->kind == 'J') + (r->kind == 'J' && r->day >= 60 && bt_leap_year(year));
  }
  return day * DAY + r->time_s;
}

struct change {
  int64_t at;
  int32_t offset;
};

enum { CHANGES = 10 };

/* The footer's changes of the years around the time, in order. A rule's time may reach a week into another year, so that the changes of
 * two years may cross: what stands at new year may have been decided by the year before the last. Of two at the same moment the
 * later year's comes last, and stands. */
static void footer_changes(const struct footer *f, int64_t at_s, struct change c[CHANGES]) {
  int64_t year;
  int month, day;
  bt_civil_of(bt_floor_div(at_s, DAY), &year, &month, &day);
  for (int y = 0; y < CHANGES / 2; y++) {
    int64_t of = year - 2 + y;
    struct change start = {rule_local(&f->start, of) - f->standard_s, f->dst_s}, end = {rule_local(&f->end, of) - f->dst_s, f->standard_s};
    bool north = start.at <= end.at;
    c[2 * y] = north ? start : end;
    c[2 * y + 1] = north ? end : start;
  }
  for (int i = 1; i < CHANGES; i++)
    for (int j = i; j > 0 && c[j - 1].at > c[j].at; j--) {
      struct change swap = c[j];
      c[j] = c[j - 1];
      c[j - 1] = swap;
    }
}

static int32_t footer_offset(const struct footer *f, int64_t at_s) {
  if (!f->dst || at_s < FIRST_S || at_s > LAST_S)
    return f->standard_s;
  struct change c[CHANGES];
  footer_changes(f, at_s, c);
  int32_t offset = f->standard_s;
  for (int i = 0; i < CHANGES && c[i].at <= at_s; i++)
    offset = c[i].offset;
  return offset;
}

static int64_t footer_next(const struct footer *f, int64_t at_s) {
  if (!f->dst || at_s < FIRST_S || at_s > LAST_S)
    return INT64_MAX;
  struct change c[CHANGES];
  footer_changes(f, at_s, c);
  for (int i = 0; i < CHANGES; i++)
    if (c[i].at > at_s)
      return c[i].at;
  return INT64_MAX;
}

/* ---- the file ---- */

struct counts {
  size_t isut, isstd, leap, time, type, chars;
};

static uint32_t be32(const unsigned char *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

static int64_t be64(const unsigned char *p) { return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4)); }

static int read_header(const unsigned char *p, size_t size, struct counts *c, struct bt_err **err) {
  if (size < HEADER || memcmp(p, "TZif", 4) != 0)
    return bt_err_set(err, BT_INVALID, "it is no file of a time zone (TZif)");
  *c = (struct counts){be32(p + 20), be32(p + 24), be32(p + 28), be32(p + 32), be32(p + 36), be32(p + 40)};
  const size_t all[] = {c->isut, c->isstd, c->leap, c->time, c->type, c->chars};
  for (size_t i = 0; i < BT_COUNT(all); i++)
    if (all[i] > size)
      return bt_err_set(err, BT_INVALID, "it is cut off");
  if (c->type == 0 || c->type > MAX_TYPES)
    return bt_err_set(err, BT_INVALID, "it has %zu kinds of local time; 1 to %d are possible", c->type, MAX_TYPES);
  if (c->leap > 0)
    return bt_err_set(err, BT_INVALID, "it counts leap seconds; take the zone of that name outside of \"right/\"");
  return 0;
}

/* Bytes of what follows a header. width: of a time, 4 or 8. */
static size_t body_size(const struct counts *c, size_t width) {
  return c->time * (width + 1) + c->type * 6 + c->chars + c->leap * (width + 4) + c->isstd + c->isut;
}

static int read_body(struct bt_tz *tz, const unsigned char *p, const struct counts *c, size_t width, struct bt_err **err) {
  const unsigned char *kinds = p + c->time * width, *types = kinds + c->time;
  tz->n = c->time;
  tz->at = bt_newn(int64_t, c->time + 1);
  tz->offset = bt_newn(int32_t, c->time + 1);
  for (size_t i = 0; i < c->type; i++) {
    int32_t offset = (int32_t)be32(types + 6 * i);
    if (offset < -MAX_OFFSET || offset > MAX_OFFSET)
      return bt_err_set(err, BT_INVALID, "its clocks are %d s from UTC, which no clock is", (int)offset);
  }
  tz->first = (int32_t)be32(types);
  for (size_t i = 0; i < c->time; i++) {
    tz->at[i] = width == 8 ? be64(p + 8 * i) : (int32_t)be32(p + 4 * i);
    if (kinds[i] >= c->type)
      return bt_err_set(err, BT_INVALID, "transition %zu leads to a kind of local time that it does not have", i);
    if (i > 0 && tz->at[i] <= tz->at[i - 1])
      return bt_err_set(err, BT_INVALID, "its transitions are not in order");
    tz->offset[i] = (int32_t)be32(types + 6 * (size_t)kinds[i]);
  }
  return 0;
}

static int read_tail(struct bt_tz *tz, const unsigned char *p, size_t size, struct bt_err **err) {
  const unsigned char *end = size > 0 && p[0] == '\n' ? memchr(p + 1, '\n', size - 1) : NULL;
  if (!end)
    return bt_err_set(err, BT_INVALID, "its last line is missing");
  if (!read_footer((struct text){(const char *)p + 1, (const char *)end}, &tz->footer))
    return bt_err_set(err, BT_INVALID, "its last line \"%.*s\" is no rule of POSIX", (int)BT_MIN(end - p - 1, 60), p + 1);
  return 0;
}

static int read_file(struct bt_tz *tz, const unsigned char *p, size_t size, struct bt_err **err) {
  struct counts c;
  if (size > BT_TZ_MAX_BYTES)
    return bt_err_set(err, BT_INVALID, "it has more than %d bytes", BT_TZ_MAX_BYTES);
  if (read_header(p, size, &c, err))
    return -1;
  bool wide = p[4] >= '2';
  size_t body = body_size(&c, 4);
  if (size - HEADER < body)
    return bt_err_set(err, BT_INVALID, "it is cut off");
  if (!wide)
    return read_body(tz, p + HEADER, &c, 4, err);
  p += HEADER + body;
  size -= HEADER + body;
  if (read_header(p, size, &c, err))
    return -1;
  body = body_size(&c, 8);
  if (size - HEADER < body)
    return bt_err_set(err, BT_INVALID, "it is cut off");
  return read_body(tz, p + HEADER, &c, 8, err) || read_tail(tz, p + HEADER + body, size - HEADER - body, err) ? -1 : 0;
}

struct bt_tz *bt_tz_parse(const void *bytes, size_t size, struct bt_err **err) {
  struct bt_tz *tz = bt_new(struct bt_tz);
  if (read_file(tz, bytes, size, err))
    bt_tz_free(&tz);
  return tz;
}

void bt_tz_free(struct bt_tz **tz) {
  if (!*tz)
    return;
  free((*tz)->at);
  free((*tz)->offset);
  free(*tz);
  *tz = NULL;
}

/* How many transitions are at or before the time. */
static size_t passed(const struct bt_tz *tz, int64_t at_s) {
  size_t low = 0, high = tz->n;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (tz->at[middle] <= at_s)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

int32_t bt_tz_offset(const struct bt_tz *tz, int64_t at_s) {
  if (!tz)
    return 0;
  size_t n = passed(tz, at_s);
  if (n == tz->n && tz->footer.any)
    return footer_offset(&tz->footer, at_s);
  return n == 0 ? tz->first : tz->offset[n - 1];
}

int64_t bt_tz_next_change(const struct bt_tz *tz, int64_t at_s) {
  if (!tz)
    return INT64_MAX;
  size_t n = passed(tz, at_s);
  if (n < tz->n)
    return tz->at[n];
  return tz->footer.any ? footer_next(&tz->footer, at_s) : INT64_MAX;
}
