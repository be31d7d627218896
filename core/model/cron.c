#include "config.h"

#include "model/cron.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/civil.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };
/* Between two Sundays that are 29 February lie 40 years at the most. */
enum { YEARS_AHEAD = 50 };
#define FIRST_YEAR 1900
#define LAST_YEAR 9000
#define SLACK_S (27 * HOUR)      /* no clock is further from UTC */
#define MOST_LOOKS 20000         /* at changes of a zone, and at times that turn out to be over: no real zone needs a tenth */
#define MOST_EVERY_S (366 * DAY)

/* ---- reading ---- */

struct field {
  const char *name;
  int min, max;
  const char *const *words; /* of min and on; NULL: none */
};

static const char *const month_words[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const day_words[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};
static const struct field fields[] = {
    {"minute", 0, 59, NULL}, {"hour", 0, 23, NULL}, {"day of the month", 1, 31, NULL}, {"month", 1, 12, month_words}, {"day of the week", 0, 7, day_words}};

enum { N_FIELDS = 5 };

/* Where the reader is. */
struct reading {
  const struct field *field;
  const char *p;
  struct bt_err **err;
};

static int no_value(const struct reading *r) {
  size_t len = strcspn(r->p, ",-/ \t");
  const char *mend = len > 0 && strchr("?LlWw#", r->p[0]) ? ": \"?\", \"L\", \"W\" and \"#\" are of other programs; write \"*\" or numbers" : "";
  if (len == 0)
    return bt_err_set(r->err, BT_INVALID, "the %s has no value where one is due", r->field->name);
  return bt_err_set(r->err, BT_INVALID, "the %s \"%.*s\" is not from %d to %d%s%s", r->field->name, (int)BT_MIN(len, 40), r->p, r->field->min,
                    r->field->max, r->field->words ? " and no name of three letters" : "", mend);
}

static bool value_ends(const char *p) { return !*p || strchr(",-/ \t", *p); }

static int read_number(struct reading *r, int max, int *out) {
  const char *p = r->p;
  int n = 0;
  for (; *p >= '0' && *p <= '9' && n < 100000; p++)
    n = n * 10 + (*p - '0');
  if (p == r->p || !value_ends(p) || n > max)
    return -1;
  *out = n;
  r->p = p;
  return 0;
}

static int read_value(struct reading *r, int *out) {
  const struct field *f = r->field;
  for (int i = 0; f->words && f->words[i]; i++)
    if (strncasecmp(r->p, f->words[i], 3) == 0 && value_ends(r->p + 3)) {
      *out = f->min + i;
      r->p += 3;
      return 0;
    }
  const char *at = r->p;
  if (read_number(r, f->max, out) == 0 && *out >= f->min)
    return 0;
  r->p = at;
  return no_value(r);
}

static int read_step(struct reading *r, int *out) {
  *out = 1;
  if (*r->p != '/')
    return 0;
  const char *at = ++r->p;
  if (read_number(r, 99999, out) || *out == 0)
    return bt_err_set(r->err, BT_INVALID, "the %s has the step \"%.*s\"; a step is a number from 1", r->field->name, (int)BT_MIN(strcspn(at, ", \t"), 40), at);
  return 0;
}

/* One item of a list: "*", "5", "1-5", each with a step or without. */
static int read_item(struct reading *r, uint64_t *bits) {
  int from = r->field->min, to = r->field->max, step;
  if (*r->p == '*') {
    r->p++;
  } else {
    if (read_value(r, &from))
      return -1;
    to = *r->p == '/' ? to : from; /* "5/15": from there on */
    if (*r->p == '-') {
      r->p++;
      if (read_value(r, &to))
        return -1;
      if (to < from)
        return bt_err_set(r->err, BT_INVALID, "the %s has a range that ends before it begins (%d-%d); write it as two", r->field->name, from, to);
    }
  }
  if (read_step(r, &step))
    return -1;
  for (int v = from; v <= to; v += step)
    *bits |= 1ull << v;
  return 0;
}

static int read_field(struct reading *r, uint64_t *bits) {
  *bits = 0;
  for (;;) {
    if (read_item(r, bits))
      return -1;
    if (*r->p != ',')
      break;
    r->p++;
  }
  if (*r->p && *r->p != ' ' && *r->p != '\t')
    return bt_err_set(r->err, BT_INVALID, "the %s goes on with \"%.*s\"; expected are values, ranges, steps and lists, as in 1-5,*/15", r->field->name,
                      (int)BT_MIN(strcspn(r->p, " \t"), 40), r->p);
  return 0;
}

static const char *skip_blank(const char *p) { return p + strspn(p, " \t"); }

static int count_fields(const char *p) {
  int n = 0;
  for (p = skip_blank(p); *p; p = skip_blank(p + strcspn(p, " \t")))
    n++;
  return n;
}

/* Whether some year has one of the days in one of the months. Every date comes on every weekday some time. */
static bool ever(const struct bt_cron *c) {
  if (c->either_day)
    return true;
  for (int month = 1; month <= 12; month++)
    for (int day = 1; (c->months >> month & 1) && day <= bt_month_days(2000, month); day++)
      if (c->days >> day & 1)
        return true;
  return false;
}

static int read_fields(const char *text, struct bt_cron *out, struct bt_err **err) {
  uint64_t bits[N_FIELDS];
  bool star[N_FIELDS];
  struct reading r = {.p = text, .err = err};
  int n = count_fields(text);
  if (n == N_FIELDS + 1 || n == N_FIELDS + 2)
    return bt_err_set(err, BT_INVALID, "it has %d fields; there are five: minute, hour, day of the month, month, day of the week (without seconds or a year; for seconds write \"@every 30s\")", n);
  if (n != N_FIELDS)
    return bt_err_set(err, BT_INVALID, "it has %d field%s; there are five: minute, hour, day of the month, month, day of the week", n, n == 1 ? "" : "s");
  for (int i = 0; i < N_FIELDS; i++) {
    r.field = &fields[i];
    r.p = skip_blank(r.p);
    star[i] = *r.p == '*';
    if (read_field(&r, &bits[i]))
      return -1;
  }
  *out = (struct bt_cron){
      .minutes = bits[0],
      .hours = (uint32_t)bits[1],
      .days = (uint32_t)bits[2],
      .months = (uint16_t)bits[3],
      .weekdays = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7f), /* 7 is Sunday, too */
      .any_hour = star[1],
      .either_day = !star[2] && !star[4],
  };
  return ever(out) ? 0 : bt_err_set(err, BT_INVALID, "it is never due: none of its months has such a day");
}

static int read_every(const char *text, struct bt_cron *out, struct bt_err **err) {
  int64_t ns = 0;
  if (!bt_duration_parse(skip_blank(text), &ns))
    return bt_err_set(err, BT_INVALID, "@every needs a duration such as 30s or 1h30m");
  if (ns < 1000000000 || ns / 1000000000 > MOST_EVERY_S || ns % 1000000000)
    return bt_err_set(err, BT_INVALID, "@every goes from 1s to 8784h, in whole seconds");
  *out = (struct bt_cron){.every_s = ns / 1000000000};
  return 0;
}

static int read_nickname(const char *text, struct bt_cron *out, struct bt_err **err) {
  static const struct {
    const char *name, *means;
  } names[] = {{"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
               {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}};
  size_t len = strcspn(text, " \t");
  if (len == 6 && strncasecmp(text, "@every", 6) == 0)
    return read_every(text + 6, out, err);
  for (size_t i = 0; i < BT_COUNT(names); i++)
    if (strlen(names[i].name) == len && strncasecmp(text, names[i].name, len) == 0 && !*skip_blank(text + len))
      return read_fields(names[i].means, out, err);
  if (len == 7 && strncasecmp(text, "@reboot", 7) == 0)
    return bt_err_set(err, BT_INVALID, "@reboot is no time; a job without a schedule runs when it is deployed");
  return bt_err_set(err, BT_INVALID, "\"%.40s\" is none of @hourly, @daily, @weekly, @monthly, @yearly and @every 30s", text);
}

static int read_schedule(const char *text, struct bt_cron *out, struct bt_err **err) {
  text = skip_blank(text);
  if (strncmp(text, "TZ=", 3) == 0 || strncmp(text, "CRON_TZ=", 8) == 0)
    return bt_err_set(err, BT_INVALID, "a time zone stands in time_zone, beside the schedule");
  return *text == '@' ? read_nickname(text, out, err) : read_fields(text, out, err);
}

int bt_cron_parse(const char *text, struct bt_cron *out, struct bt_err **err) {
  *out = (struct bt_cron){0};
  if (strlen(text) > BT_CRON_MAX_TEXT)
    return bt_err_set(err, BT_INVALID, "a schedule has %d characters at the most", BT_CRON_MAX_TEXT);
  for (const char *p = text; *p; p++)
    if (((unsigned char)*p < 32 && *p != '\t') || (unsigned char)*p > 126)
      return bt_err_set(err, BT_INVALID, "a schedule is one line of plain letters, digits and * , - / @");
  if (read_schedule(text, out, err))
    return bt_err_wrap(err, "schedule \"%.60s\"", text);
  return 0;
}

/* ---- the next time ---- */

static bool day_fits(const struct bt_cron *c, int64_t days, int day) {
  bool of_month = c->days >> day & 1, of_week = c->weekdays >> bt_weekday_of(days) & 1;
  return c->either_day ? of_month || of_week : of_month && of_week;
}

/* The first day that fits, from the given one on; -1 where there is none in time. */
static int64_t next_day(const struct bt_cron *c, int64_t days) {
  int64_t year, last;
  int month, day;
  bt_civil_of(days, &year, &month, &day);
  for (last = year + YEARS_AHEAD; year <= last; day = 1) {
    if (c->months >> month & 1)
      for (int n = bt_month_days(year, month); day <= n; day++)
        if (day_fits(c, bt_days_of(year, month, day), day))
          return bt_days_of(year, month, day);
    month = month % 12 + 1;
    year += month == 1;
  }
  return -1;
}

/* The first minute (of a day) that fits, from the given one on; -1: none any more that day. */
static int next_minute(const struct bt_cron *c, int minute) {
  for (int hour = minute / 60; hour < 24; hour++) {
    int from = hour == minute / 60 ? minute % 60 : 0;
    uint64_t left = c->hours >> hour & 1 ? c->minutes >> from : 0;
    if (left)
      return hour * 60 + from + __builtin_ctzll(left);
  }
  return -1;
}

/* The first local time on a whole minute that fits, at or after the given one (local seconds since 1970). */
static int64_t next_local(const struct bt_cron *c, int64_t local_s) {
  local_s = bt_floor_div(local_s + MINUTE - 1, MINUTE) * MINUTE;
  int64_t days = bt_floor_div(local_s, DAY);
  int minute = (int)((local_s - days * DAY) / MINUTE);
  int64_t day = next_day(c, days);
  int at = day < 0 ? -1 : next_minute(c, day == days ? minute : 0);
  if (at < 0 && day == days) {
    day = next_day(c, days + 1);
    at = day < 0 ? -1 : next_minute(c, 0);
  }
  return day < 0 ? BT_CRON_NEVER : day * DAY + at * MINUTE;
}

/* Which moment a local time is: the first one that shows it, or the end of the gap that it is in. */
static int64_t moment_of(const struct bt_tz *tz, int64_t local_s, int *looks) {
  int64_t from = local_s - SLACK_S;
  while (*looks > 0) {
    (*looks)--;
    int32_t offset = bt_tz_offset(tz, from);
    int64_t until = bt_tz_next_change(tz, from);
    if (local_s - offset < until)
      return BT_MAX(local_s - offset, from);
    from = until;
  }
  return BT_CRON_NEVER;
}

static int64_t next_of_hours(const struct bt_cron *c, const struct bt_tz *tz, int64_t after_s) {
  int looks = MOST_LOOKS;
  int64_t local = next_local(c, after_s + bt_tz_offset(tz, after_s));
  while (local != BT_CRON_NEVER && looks-- > 0) {
    int64_t at = moment_of(tz, local, &looks);
    if (at > after_s)
      return at;
    local = next_local(c, local + MINUTE);
  }
  return BT_CRON_NEVER;
}

static int64_t next_by_clock(const struct bt_cron *c, const struct bt_tz *tz, int64_t after_s) {
  int64_t from = after_s + 1;
  for (int looks = MOST_LOOKS; looks > 0; looks--) {
    int32_t offset = bt_tz_offset(tz, from);
    int64_t until = bt_tz_next_change(tz, from), local = next_local(c, from + offset);
    if (local == BT_CRON_NEVER || local - offset < until)
      return local == BT_CRON_NEVER ? BT_CRON_NEVER : local - offset;
    from = until;
  }
  return BT_CRON_NEVER;
}

int64_t bt_cron_next(const struct bt_cron *c, const struct bt_tz *tz, int64_t after_s) {
  if (after_s < bt_days_of(FIRST_YEAR, 1, 1) * DAY || after_s > bt_days_of(LAST_YEAR, 1, 1) * DAY)
    return BT_CRON_NEVER;
  if (c->every_s)
    return after_s + c->every_s;
  return c->any_hour ? next_by_clock(c, tz, after_s) : next_of_hours(c, tz, after_s);
}

/* The next time never comes earlier for a later start, so the last one is found by halving. */
int64_t bt_cron_last(const struct bt_cron *c, const struct bt_tz *tz, int64_t after_s, int64_t until_s) {
  int64_t low = after_s, high = until_s; /* due after low and in time; not after high */
  int64_t last = until_s > after_s ? bt_cron_next(c, tz, after_s) : BT_CRON_NEVER;
  if (last > until_s)
    return BT_CRON_NEVER;
  if (c->every_s)
    return after_s + (until_s - after_s) / c->every_s * c->every_s;
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2, next = bt_cron_next(c, tz, middle);
    if (next <= until_s) {
      low = middle;
      last = next;
    } else {
      high = middle;
    }
  }
  return last;
}
