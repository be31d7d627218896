/* Cron schedules: what is read and what is refused, the next and the last time, and every minute of some years in zones whose clocks are
 * set, against a model that walks them one by one with glibc's local time. */
#include "model/cron.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "tap.h"
#include "zone_kit.h"

/* ---- words ---- */

static void refused(const char *text, const char *why) {
  struct bt_cron c;
  BT_AUTO_ERR err = NULL;
  int rc = bt_cron_parse(text, &c, &err);
  ok(rc < 0 && strstr(bt_err_message(err), why), "refused: %s", rc < 0 ? bt_err_message(err) : text);
}

static void hell(void) {
  refused("", "has 0 fields");
  refused("* * * *", "has 4 fields; there are five");
  refused("0 * * * * *", "for seconds write \"@every 30s\"");
  refused("0 0 0 1 1 ? 2030", "without seconds or a year");
  refused("60 * * * *", "the minute \"60\" is not from 0 to 59");
  refused("* 24 * * *", "the hour \"24\"");
  refused("* * 0 * *", "the day of the month \"0\"");
  refused("* * 32 * *", "the day of the month \"32\"");
  refused("* * * 13 *", "the month \"13\"");
  refused("* * * * 8", "the day of the week \"8\"");
  refused("* * * * monday", "no name of three letters");
  refused("* * * jam *", "the month \"jam\"");
  refused("-5 * * * *", "has no value where one is due");
  refused("5- * * * *", "has no value where one is due");
  refused("5,,6 * * * *", "has no value where one is due");
  refused(", * * * *", "has no value where one is due");
  refused("30-10 * * * *", "ends before it begins");
  refused("* * * * sat-sun", "ends before it begins");
  refused("*/0 * * * *", "the step \"0\"; a step is a number from 1");
  refused("*/ * * * *", "a step is a number from 1");
  refused("*/x * * * *", "a step is a number from 1");
  refused("5/1/1 * * * *", "goes on with \"/1\"");
  refused("**** * * * *", "goes on with \"***\"");
  refused("99999999999999999999 * * * *", "is not from 0 to 59");
  refused("*/99999999999999999999 * * * *", "a step is a number from 1");
  refused("* * ? * *", "are of other programs");
  refused("* * L * *", "are of other programs");
  refused("* * * * 1#2", "the day of the week \"1#2\"");
  refused("0 0 31 2 *", "it is never due");
  refused("0 0 30,31 feb *", "it is never due");
  refused("0 0 31 4,6,9,11 *", "it is never due");
  refused("@reboot", "@reboot is no time");
  refused("@dialy", "none of @hourly");
  refused("@daily 5", "none of @hourly");
  refused("@every", "needs a duration");
  refused("@every 500ms", "from 1s to 8784h");
  refused("@every -1h", "from 1s to 8784h");
  refused("@every 999999h", "from 1s to 8784h");
  refused("@every 99999999999999999999h", "needs a duration");
  refused("TZ=Europe/Berlin 0 0 * * *", "stands in time_zone");
  refused("CRON_TZ=UTC 0 0 * * *", "stands in time_zone");
  refused("0 0 *\x1b* *", "one line");
  refused("0 0 * * \xc3\xa4", "one line");
  BT_AUTO_FREE char *lists = bt_calloc(1, 4096);
  for (int i = 0; i < 1500; i++)
    strcat(lists, "1,");
  refused(lists, "256 characters at the most");
}

static struct bt_cron cron(const char *text) {
  struct bt_cron c;
  BT_AUTO_ERR err = NULL;
  if (bt_cron_parse(text, &c, &err) < 0)
    ok(false, "%s", bt_err_message(err));
  return c;
}

static int64_t seconds(const char *time) {
  int64_t ms = 0;
  BT_ASSERT(bt_clock_parse(time, &ms));
  return ms / 1000;
}

static void next_is(const char *text, const struct bt_tz *tz, const char *after, const char *want) {
  struct bt_cron c = cron(text);
  char buf[32];
  int64_t next = bt_cron_next(&c, tz, seconds(after));
  bt_clock_format(next == BT_CRON_NEVER ? 0 : next * 1000, buf);
  buf[19] = 'Z';
  buf[20] = 0;
  BT_AUTO_FREE char *name = bt_asprintf("\"%s\" after %s", text, after);
  is_str(buf, want, name);
}

static void times(void) {
  next_is("* * * * *", NULL, "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z");
  next_is("* * * * *", NULL, "2026-01-01T00:00:59Z", "2026-01-01T00:01:00Z");
  next_is("0 4 * * *", NULL, "2026-01-01T04:00:00Z", "2026-01-02T04:00:00Z");
  next_is("0 4 * * *", NULL, "2026-01-01T03:59:59Z", "2026-01-01T04:00:00Z");
  next_is("30 8-17/3 * * mon-fri", NULL, "2026-01-02T17:30:00Z", "2026-01-05T08:30:00Z");
  next_is(" 5/20\t* * * * ", NULL, "2026-01-01T00:05:00Z", "2026-01-01T00:25:00Z");
  next_is("5/20 * * * *", NULL, "2026-01-01T00:45:00Z", "2026-01-01T01:05:00Z");
  next_is("0 0 29 2 *", NULL, "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z");
  next_is("0 0 31 * *", NULL, "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z");
  next_is("0 0 13 * fri", NULL, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"); /* either: the first Friday */
  next_is("0 0 13 * fri", NULL, "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z");
  next_is("0 0 */13 * fri", NULL, "2026-01-01T00:00:00Z", "2026-02-27T00:00:00Z"); /* a star: both, so a Friday that is the 1st, 14th or 27th */
  next_is("0 0 * * 7", NULL, "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z");
  next_is("0 0 * * 5-7", NULL, "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z");
  next_is("0 0 1 JAN *", NULL, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
  next_is("@weekly", NULL, "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z");
  next_is("@monthly", NULL, "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
  next_is("@yearly", NULL, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
  next_is("@Midnight", NULL, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
  next_is("@hourly", NULL, "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z");
  next_is("@every 90s", NULL, "2026-01-01T00:00:07Z", "2026-01-01T00:01:37Z");
  next_is("0 0 29 2 */7", NULL, "2026-01-01T00:00:00Z", "2032-02-29T00:00:00Z"); /* a Sunday */
  next_is("0 0 29 2 */7", NULL, "2088-03-01T00:00:00Z", "2128-02-29T00:00:00Z"); /* forty years until the next one */
  struct bt_cron c = cron("* * * * *");
  ok(bt_cron_next(&c, NULL, INT64_MAX) == BT_CRON_NEVER && bt_cron_next(&c, NULL, INT64_MIN) == BT_CRON_NEVER, "out of all years: never");
}

static void summer_time(void) {
  BT_AUTO_TZ berlin = zone_of_rule("CET-1CEST,M3.5.0,M10.5.0/3");
  next_is("30 2 * * *", berlin, "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"); /* 02:30 is not: at 03:00 */
  next_is("30 2 * * *", berlin, "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z");
  next_is("*/10 2 * * *", berlin, "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"); /* the six of them were one */
  next_is("30 2 * * *", berlin, "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"); /* the first 02:30 */
  next_is("30 2 * * *", berlin, "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"); /* and not the second one */
  next_is("30 * * * *", berlin, "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"); /* every hour is every hour */
  next_is("0 */2 * * *", berlin, "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z"); /* 02:00 is not; 04:00 */
  BT_AUTO_TZ apia = zone_of_system("Pacific/Apia");
  next_is("0 12 * * *", apia, "2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z"); /* 30 December 2011 was left out: as the 31st begins */
  next_is("0 12 * * *", apia, "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z");
}

static void last_time(void) {
  static const char *const specs[] = {"*/7 * * * *", "30 2 * * *", "0 0 1 * *", "* * 1 1 *", "@every 77s"};
  BT_AUTO_TZ berlin = zone_of_rule("CET-1CEST,M3.5.0,M10.5.0/3");
  int wrong = 0;
  for (size_t i = 0; i < BT_COUNT(specs); i++) {
    struct bt_cron c = cron(specs[i]);
    int64_t start = seconds("2026-03-20T00:00:13Z");
    for (int64_t until = start - 60; until < start + 40 * 86400; until += 9973) {
      int64_t want = BT_CRON_NEVER;
      for (int64_t t = bt_cron_next(&c, berlin, start); t <= until; t = bt_cron_next(&c, berlin, t))
        want = t;
      wrong += bt_cron_last(&c, berlin, start, until) != want;
    }
  }
  is_int(wrong, 0, "the last time is the one that walking finds");
  struct bt_cron c = cron("* * 1 1 *");
  int64_t began = bt_clock_mono_us();
  int64_t last = bt_cron_last(&c, berlin, 0, seconds("2026-06-01T00:00:00Z"));
  ok(last == seconds("2026-01-01T22:59:00Z") && bt_clock_mono_us() - began < 50000, "after 56 years it is found at once (%lld)", (long long)last);
}

/* ---- the model: every minute, one by one ---- */

struct walk {
  const char *text;
  struct bt_cron c;
  int64_t shown;    /* the latest local minute that there was */
  int64_t expected; /* the next time by bt_cron_next */
  int fired, wrong;
};

/* By crontab(5), on its own way: fields as arrays of flags. */
static bool fits(const struct bt_cron *c, int64_t local) {
  struct tm tm;
  time_t t = (time_t)local;
  gmtime_r(&t, &tm);
  bool day = c->days >> tm.tm_mday & 1, week = c->weekdays >> tm.tm_wday & 1;
  return (c->minutes >> tm.tm_min & 1) && (c->hours >> tm.tm_hour & 1) && (c->months >> (tm.tm_mon + 1) & 1) && (c->either_day ? day || week : day && week);
}

static void walk_minute(struct walk *w, const struct bt_tz *tz, int64_t at, int64_t local) {
  bool fire = false;
  if (w->c.any_hour) {
    fire = fits(&w->c, local);
  } else {
    for (int64_t missed = w->shown + 60; missed < local && w->shown; missed += 60)
      fire = fire || fits(&w->c, missed);
    fire = fire || (local > w->shown && fits(&w->c, local));
  }
  w->shown = local > w->shown ? local : w->shown;
  if (fire != (w->expected == at)) {
    if (w->wrong++ == 0)
      printf("# %s: %s at %lld, expected %lld\n", w->text, fire ? "due" : "not due", (long long)at, (long long)w->expected);
  }
  w->fired += fire;
  if (w->expected <= at)
    w->expected = bt_cron_next(&w->c, tz, at);
}

static void brute(const char *zone, const char *from, const char *until) {
  static const char *const specs[] = {"* * * * *", "30 2 * * *", "*/10 2 * * *", "30 * * * *", "0 */2 * * *", "15 1-3 * * *", "0 0 * * *", "59 23 * * *", "*/7 0,1,2,3 * * *",
                                      "0 3 29 2 *", "0 12 13 * fri", "5 4 */3 * 1-5", "0,30 1 * mar,oct sun", "45 */3 1-7 * *"};
  BT_AUTO_TZ tz = zone_of_system(zone);
  struct walk walks[BT_COUNT(specs)];
  if (!ok(tz != NULL, "%s is read", zone))
    return;
  setenv("TZ", zone, 1);
  tzset();
  int64_t start = seconds(from);
  for (size_t i = 0; i < BT_COUNT(specs); i++) {
    walks[i] = (struct walk){.text = specs[i], .c = cron(specs[i])};
    walks[i].expected = bt_cron_next(&walks[i].c, tz, start);
  }
  for (int64_t at = start; at < seconds(until); at += 60) {
    struct tm tm;
    time_t t = (time_t)at;
    localtime_r(&t, &tm);
    int64_t local = at + tm.tm_gmtoff;
    for (size_t i = 0; i < BT_COUNT(specs); i++) {
      if (at == start)
        walks[i].shown = local;
      else
        walk_minute(&walks[i], tz, at, local);
    }
  }
  int wrong = 0, fired = 0;
  for (size_t i = 0; i < BT_COUNT(specs); i++) {
    wrong += walks[i].wrong;
    fired += walks[i].fired;
  }
  ok(wrong == 0 && fired > 0, "%s from %s to %s: %d times of %zu schedules, each minute as the model has it", zone, from, until, fired, BT_COUNT(specs));
}

int main(void) {
  hell();
  times();
  summer_time();
  last_time();
  brute("Europe/Berlin", "2025-02-01T00:00:00Z", "2026-11-30T00:00:00Z");
  brute("America/New_York", "2026-02-01T00:00:00Z", "2026-12-31T00:00:00Z");
  brute("Australia/Lord_Howe", "2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z"); /* half an hour */
  brute("Pacific/Apia", "2011-01-01T00:00:00Z", "2012-05-01T00:00:00Z");      /* a day left out */
  brute("Africa/Casablanca", "2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z"); /* summer time stops for a month */
  brute("America/Nuuk", "2023-01-01T00:00:00Z", "2024-12-31T00:00:00Z");
  brute("Antarctica/Troll", "2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z"); /* two hours */
  brute("Europe/Dublin", "2055-01-01T00:00:00Z", "2056-03-31T00:00:00Z");    /* by the rule behind the file's end, where winter is the exception */
  return done_testing();
}
