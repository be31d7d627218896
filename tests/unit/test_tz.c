/* Time zones from TZif bytes: against glibc for the zones of this machine, rules of POSIX alone, and files that are none. */
#include <stdlib.h>
#include <time.h>

#include "model/tz.h"
#include "tap.h"
#include "zone_kit.h"

static void names(void) {
  static const char *const good[] = {"UTC", "Europe/Berlin", "Etc/GMT+2", "America/Argentina/Buenos_Aires", "America/Port-au-Prince"};
  static const char *const bad[] = {"", "/etc/passwd", "Europe//Berlin", "Europe/", "../etc/shadow", "Europe/../../x", "a b", "Europe/Berlin\n", "Zürich",
                                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL};
  for (size_t i = 0; i < BT_COUNT(good); i++)
    ok(bt_tz_name_ok(good[i]), "%s can be a zone", good[i]);
  for (size_t i = 0; i < BT_COUNT(bad); i++)
    ok(!bt_tz_name_ok(bad[i]), "%.*s cannot", bad[i] ? (int)strcspn(bad[i], "\n") : 7, bad[i] ? bad[i] : "nothing");
}

/* Every 30 minutes and a second from 1935 to 2120, and every change: what glibc says. */
static void as_glibc(const char *name) {
  BT_AUTO_TZ tz = zone_of_system(name);
  int wrong = 0;
  int64_t first_wrong = 0;
  if (!ok(tz != NULL, "%s is read", name))
    return;
  setenv("TZ", name, 1);
  tzset();
  const int64_t from = -1104537600, until = 4733510400;
  int64_t change = bt_tz_next_change(tz, from), steps = 0;
  for (int64_t t = from; t < until && wrong == 0; steps++) {
    struct tm tm;
    time_t at = (time_t)t;
    localtime_r(&at, &tm);
    if (bt_tz_offset(tz, t) != tm.tm_gmtoff || change <= t) {
      wrong++;
      first_wrong = t;
    }
    /* between changes nothing moves: coarse there, and exact around them */
    int64_t next = t + 6 * 3600 + 1;
    t = t < change - 1 && change - 1 < next ? change - 1 : t == change - 1 ? change : next;
    if (t >= change)
      change = bt_tz_next_change(tz, t);
  }
  ok(wrong == 0, "%s: %lld looks say what glibc says (%lld)", name, (long long)steps, (long long)first_wrong);
}

static void against_glibc(void) {
  static const char *const zones[] = {"Europe/Berlin", "Europe/Dublin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe",
                                      "Pacific/Apia", "Africa/Casablanca", "Asia/Kathmandu", "America/Nuuk", "Antarctica/Troll", "UTC", "Etc/GMT+12"};
  for (size_t i = 0; i < BT_COUNT(zones); i++)
    as_glibc(zones[i]);
}

static void rules(void) {
  static const struct {
    const char *rule;
    int64_t at;
    int32_t offset;
  } cases[] = {
      {"CET-1CEST,M3.5.0,M10.5.0/3", 1774745999, 3600},  /* 2026-03-29 00:59:59Z */
      {"CET-1CEST,M3.5.0,M10.5.0/3", 1774746000, 7200},
      {"CET-1CEST,M3.5.0,M10.5.0/3", 1792889999, 7200},  /* 2026-10-25 00:59:59Z */
      {"CET-1CEST,M3.5.0,M10.5.0/3", 1792890000, 3600},
      {"<-03>3<-02>,M3.5.0/-1,M10.5.0/0", 1774753199, -7200}, /* Nuuk: on Saturday at 23:00, when it is 02:00Z, so an hour after 01:59:59Z */
      {"<-03>3<-02>,M3.5.0/-1,M10.5.0/0", 1774742399, -10800},
      {"XXX3EDT4,0/0,J365/23", 1774746000, -14400},      /* always summer: RFC 8536, 3.3.1 */
      {"XXX3EDT4,0/0,J365/23", 1798761600, -14400},      /* new year 2027 */
      {"<+0545>-5:45", 1774746000, 20700},
      {"AEST-10AEDT,M10.1.0,M4.1.0/3", 1767225600, 39600}, /* January in Sydney */
      {"AEST-10AEDT,M10.1.0,M4.1.0/3", 1782864000, 36000}, /* July */
      {"AAA-1BBB,J60,J300", 1709258400, 7200}, /* 2024-03-01 02:00Z */
      {"AAA-1BBB,59,300", 1709172000, 7200},   /* 2024-02-29 02:00Z: day 59 counts from 0 and counts it */
  };
  for (size_t i = 0; i < BT_COUNT(cases); i++) {
    BT_AUTO_TZ tz = zone_of_rule(cases[i].rule);
    is_int(tz ? bt_tz_offset(tz, cases[i].at) : -1, cases[i].offset, cases[i].rule);
  }
  static const char *const bad[] = {"CET", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0", "CET-99",
                                    "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,J0,J300", "CET-1CEST,M3.5.0/168,M10.5.0", "<CET-1", "CET-1CEST,M3.5.0,M10.5.0x", "-1", "A-1B,J60,J300"};
  for (size_t i = 0; i < BT_COUNT(bad); i++) {
    BT_AUTO_TZ tz = zone_of_rule(bad[i]);
    ok(!tz, "no rule: %s", bad[i]);
  }
  ok(bt_tz_offset(NULL, 0) == 0 && bt_tz_next_change(NULL, 0) == INT64_MAX, "none is UTC");
}

static void refused(const void *bytes, size_t len, const char *why) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_TZ tz = bt_tz_parse(bytes, len, &err);
  ok(!tz && strstr(bt_err_message(err), why), "refused: %s (%s)", why, bt_err_message(err));
}

static void broken(void) {
  BT_AUTO_BUF b = {0};
  zone_bytes(&b, "UTC0");
  BT_AUTO_TZ good = bt_tz_parse(b.data, b.len, NULL);
  ok(good != NULL, "a file of a rule alone is one");
  for (size_t len = 0; len < b.len; len++) {
    BT_AUTO_TZ tz = bt_tz_parse(b.data, len, NULL);
    if (tz && !ok(false, "%zu bytes of %zu are a zone", len, b.len))
      return;
  }
  ok(true, "a part of it is none, wherever it is cut");
  refused("hello", 5, "no file of a time zone");
  refused(b.data, 60, "no file of a time zone");
  refused(b.data, b.len - 1, "last line is missing");
  BT_AUTO_FREE char *copy = bt_memdup(b.data, b.len);
  copy[51 + 31] = 1; /* leap seconds in the second header */
  refused(copy, b.len, "leap seconds");
  memcpy(copy, b.data, b.len);
  copy[51 + 44] = 0x7f;
  refused(copy, b.len, "which no clock is");
  memcpy(copy, b.data, b.len);
  memset(copy + 32, 0xff, 4);
  refused(copy, b.len, "cut off");
  memcpy(copy, b.data, b.len);
  copy[39] = 0;
  refused(copy, b.len, "kinds of local time");
  BT_AUTO_FREE char *large = bt_calloc(BT_TZ_MAX_BYTES + 1, 1);
  refused(large, BT_TZ_MAX_BYTES + 1, "more than 65536 bytes");
}

int main(void) {
  names();
  against_glibc();
  rules();
  broken();
  return done_testing();
}
