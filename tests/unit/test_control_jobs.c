/* Jobs through control: runs by a schedule, beside each other, late, too long, kept and forgotten; runs that somebody asks for; jobs after
 * jobs; zones; restarts of the server. Time is virtual. */
#include "control_kit.h"
#include "zone_kit.h"

#include <sodium.h>

/* 2023-11-14T22:13:20Z is where the kit begins. */
#define BEGIN 1700000000000

static struct kit k;

static void apply(const char *services) {
  BT_AUTO_FREE char *args = bt_asprintf("{'namespace':'default','app':'a','model':{'services':{%s}},'contents':{}}", services);
  const struct bt_reply *reply = kit_request(&k, "app.apply", args, false);
  if (!reply || reply->code != BT_OK)
    ok(false, "apply: %s", reply && reply->message ? reply->message : "no answer");
  kit_resolve(&k, "1");
}

static void begin(const char *services) {
  kit_start(&k);
  kit_hello(&k);
  apply(services);
}

#define JOB(name, more, job) "'" name "':{'image':'i:1','deploy':{'mode':'replicated-job'" more "},'x-berth':{'job':{" job "}}}"

static json_t *service(const char *name) {
  BT_AUTO_FREE char *full = bt_asprintf("a.%s", name);
  const char *text = bt_control_get(k.c, "services", "default", full, NULL, NULL);
  return kit_json(text ? text : "{}");
}

/* "3 active, next 2023-11-14T22:15:00.000Z, last 2 failed" */
static void job_is(const char *name, const char *want, const char *what) {
  BT_AUTO_JSON o = service(name);
  const json_t *job = bt_json_obj(o, "job"), *last = bt_json_obj(job, "last_run");
  const char *next = bt_json_str_or(job, "next_run", "1970-01-01T-");
  BT_AUTO_FREE char *is = bt_asprintf("%s: %lld active, next %.8s, last %lld %s", bt_json_str(o, "state"), bt_json_int(job, "active", -1), next + 11, bt_json_int(last, "run", 0),
                                      bt_json_str_or(last, "state", "-"));
  is_str(is, want, what);
}

/* Ids of the instances of a service that are on a node and neither leaving nor over, from the newest. The caller frees. */
static char *running(const char *name, size_t nth) {
  BT_AUTO_JSON list = kit_list(&k, "instances", "a");
  const char *found = NULL;
  for (size_t i = json_array_size(list); i-- > 0;) {
    const json_t *o = json_array_get(list, i);
    if (bt_streq(bt_json_str(o, "service"), name) && bt_json_str(o, "node") && !bt_json_bool(o, "leaving", false) && !bt_json_bool(o, "ended", false) && nth-- == 0)
      found = bt_json_str(o, "instance");
  }
  return bt_strdup(found);
}

static void finish(const char *name, int exit_code) {
  BT_AUTO_FREE char *id = running(name, 0);
  if (!id)
    ok(false, "an instance of %s runs", name);
  else
    kit_report(&k, id, "exited", false, exit_code);
}

static size_t count(const char *name) {
  BT_AUTO_JSON list = kit_list(&k, "instances", "a");
  size_t n = 0, i;
  json_t *o;
  json_array_foreach(list, i, o) n += bt_streq(bt_json_str(o, "service"), name);
  return n;
}

static bool event_seen(const char *type, const char *words) {
  BT_AUTO_JSON list = bt_control_list(k.c, "events", &(struct bt_query){.type = type, .limit = 5000}, NULL, NULL);
  size_t i;
  json_t *o;
  bool seen = false;
  json_array_foreach(list, i, o) seen = seen || strstr(bt_json_str_or(o, "message", ""), words);
  return seen;
}

static void says_why(const char *object, const char *words) {
  BT_AUTO_JSON why = bt_control_why(k.c, "default", object, k.now, NULL);
  const char *summary = bt_json_str_or(why, "summary", "");
  if (!ok(strstr(summary, words), "why %s: %s", object, words))
    printf("# %s\n", summary);
}

static void by_schedule(void) {
  begin(JOB("j", "", "'schedule':'*/5 * * * *'"));
  kit_is_state(&k, "a", "running");
  job_is("j", "scheduled: 0 active, next 22:15:00, last 0 -", "nothing runs when it is deployed");
  ok(k.fx.wake_ms <= BEGIN + 60000, "the wall clock is looked at each minute");
  kit_tick(&k, 99000);
  is_int(count("j"), 0, "nor before it is due");
  kit_tick(&k, 1000);
  job_is("j", "running: 1 active, next 22:20:00, last 0 -", "it runs when it is due");
  const json_t *assign = bt_json_obj(kit_sent(&k, "assign", 0), "instance"), *env = bt_json_obj(assign, "environment");
  is_str(bt_json_str(env, "BERTH_JOB_INDEX"), "0", "its container is told its index");
  is_str(bt_json_str(env, "BERTH_JOB_RUN"), "1", "the run");
  is_str(bt_json_str(env, "BERTH_JOB_SCHEDULED_AT"), "2023-11-14T22:15:00.000Z", "and when it was due");
  says_why("a/j", "j runs; the next run is due at 2023-11-14T22:20:00.000Z; no run has ended yet");
  finish("j", 0);
  job_is("j", "scheduled: 0 active, next 22:20:00, last 1 succeeded", "it has succeeded");
  kit_tick(&k, 300000);
  finish("j", 3);
  job_is("j", "scheduled: 0 active, next 22:25:00, last 2 failed", "the next one failed");
  says_why("a/j", "ended with exit code 3");
  ok(event_seen("job.failed", "run 2 of j failed"), "that is an event");
  kit_is_state(&k, "a", "running");
  apply(JOB("j", "", "'schedule':'*/5 * * * *','completions':2,'max_concurrent':2"));
  kit_is_state(&k, "a", "running");
  kit_all_leave(&k);
  is_int(count("j"), 2, "an apply starts nothing, and takes nothing away");
  kit_tick(&k, 300000);
  is_int(count("j"), 4, "the next run has two completions");
  kit_end(&k);
}

static void history(void) {
  begin(JOB("j", "", "'schedule':'* * * * *','successful_history_limit':2,'failed_history_limit':1"));
  static const int codes[] = {0, 1, 0, 0, 1, 0};
  for (size_t i = 0; i < BT_COUNT(codes); i++) {
    kit_tick(&k, 60000);
    finish("j", codes[i]);
    kit_all_leave(&k);
  }
  BT_AUTO_JSON o = service("j");
  json_t *runs = bt_json_arr(bt_json_obj(o, "job"), "runs");
  ok(json_array_size(runs) == 3 && bt_json_int(json_array_get(runs, 0), "run", 0) == 4 && bt_json_int(json_array_get(runs, 1), "run", 0) == 5, "two that succeeded and one that failed are known");
  is_int(count("j"), 3, "and have their containers");
  apply(JOB("j", "", "'schedule':'* * * * *','successful_history_limit':0,'failed_history_limit':0"));
  kit_all_leave(&k);
  is_int(count("j"), 0, "no containers stay where none are to");
  job_is("j", "scheduled: 0 active, next 22:20:00, last 6 succeeded", "how the last run ended is remembered nevertheless");
  kit_end(&k);
}

static void concurrency(void) {
  begin(JOB("allow", "", "'schedule':'* * * * *'") "," JOB("forbid", "", "'schedule':'* * * * *','concurrency':'forbid'") ","
        JOB("replace", "", "'schedule':'* * * * *','concurrency':'replace'"));
  kit_tick(&k, 60000);
  kit_all_run(&k);
  kit_tick(&k, 60000);
  job_is("allow", "running: 2 active, next 22:16:00, last 0 -", "allow: two at once");
  job_is("forbid", "running: 1 active, next 22:16:00, last 0 -", "forbid: one");
  says_why("a/forbid", "the run that was due at 2023-11-14T22:15:00.000Z waits until the one before has ended");
  job_is("replace", "scheduled: 0 active, next 22:16:00, last 1 failed", "replace: the first one goes");
  says_why("a/replace", "waits until the containers of the one before are stopped");
  kit_all_leave(&k);
  job_is("replace", "running: 1 active, next 22:16:00, last 1 failed", "and then the second one begins");
  kit_tick(&k, 60000);
  finish("forbid", 0);
  job_is("forbid", "running: 1 active, next 22:17:00, last 1 succeeded", "forbid: one run stands for the two that were due");
  ok(event_seen("job.missed", "1 run of forbid did not begin in time"), "that the other one is missed is said");
  kit_end(&k);
}

static void deadlines(void) {
  begin(JOB("j", "", "'schedule':'0 * * * *','active_deadline':'2m','completions':2,'max_concurrent':2") "," JOB("late", "", "'schedule':'0 * * * *','starting_deadline':'10m'"));
  kit_tick(&k, 2800000); /* 23:00 */
  kit_all_run(&k);
  finish("j", 0);
  kit_tick(&k, 119000);
  job_is("j", "running: 1 active, next 00:00:00, last 0 -", "within its deadline");
  kit_tick(&k, 1000);
  job_is("j", "scheduled: 0 active, next 00:00:00, last 1 failed", "at its deadline the run has failed");
  says_why("a/j", "it was not through after its active_deadline of 2m");
  kit_all_leave(&k);
  is_int(count("j"), 1, "what ran of it is gone, what had completed is kept");
  finish("late", 0);
  kit_tick(&k, 4 * 3600000 - 120000 - 500 + 660000); /* the server was away until 03:11 */
  job_is("late", "scheduled: 0 active, next 04:00:00, last 1 succeeded", "eleven minutes are too late");
  ok(event_seen("job.missed", "4 runs of late did not begin in time"), "which is said");
  job_is("j", "running: 1 active, next 04:00:00, last 1 failed", "without such a deadline one run follows");
  kit_end(&k);
}

static void single(void) {
  begin(JOB("j", "", "'active_deadline':'5m'"));
  kit_all_run(&k);
  kit_tick(&k, 298000);
  kit_is_state(&k, "a", "deploying");
  kit_tick(&k, 2000);
  kit_is_state(&k, "a", "failed");
  kit_all_leave(&k);
  is_int(count("j"), 0, "a job without a schedule has its deadline, too");
  kit_tick(&k, 3600000);
  is_int(count("j"), 0, "and does not begin again");
  kit_reload(&k);
  kit_hello(&k);
  is_int(count("j"), 0, "nor after a restart of the server");
  k.now -= 3700000;
  kit_reload(&k);
  kit_hello(&k);
  is_int(count("j"), 0, "even where its clock was set back meanwhile");
  const struct bt_reply *reply = kit_request(&k, "job.run", "{'app':'a','service':'j'}", false);
  ok(reply && reply->code == BT_OK, "until somebody asks for it");
  is_int(count("j"), 1, "then it runs");
  reply = kit_request(&k, "job.run", "{'app':'a','service':'j'}", false);
  ok(reply && reply->code == BT_CONFLICT && strstr(reply->message, "is not through"), "once");
  finish("j", 0);
  kit_is_state(&k, "a", "running");
  ok(kit_request(&k, "job.run", "{'app':'a','service':'j'}", true)->code == BT_OK, "a dry run");
  is_int(count("j"), 1, "changes nothing");
  kit_end(&k);
}

static void by_hand(void) {
  begin(JOB("j", "", "'schedule':'0 0 1 1 *','concurrency':'forbid'") ",'web':{'image':'w:1'}");
  const struct bt_reply *reply = kit_request(&k, "job.run", "{'app':'a','service':'j'}", false);
  ok(reply && reply->code == BT_OK && bt_json_int(reply->result, "run", 0) == 1, "a run is asked for");
  job_is("j", "running: 1 active, next 00:00:00, last 0 -", "and begins");
  reply = kit_request(&k, "job.run", "{'app':'a','service':'j'}", false);
  ok(reply && reply->code == BT_CONFLICT && strstr(reply->message, "forbid"), "no second one beside it");
  kit_request(&k, "app.restart", "{'app':'a'}", false);
  finish("j", 0);
  job_is("j", "scheduled: 0 active, next 00:00:00, last 1 succeeded", "a restart of the app does not touch it");
  reply = kit_request(&k, "app.restart", "{'app':'a','services':['j']}", false);
  ok(reply && reply->code == BT_CONFLICT && strstr(reply->message, "berth job run a/j"), "nor can it be restarted by name");
  ok(kit_request(&k, "job.run", "{'app':'a','service':'web'}", false)->code == BT_INVALID, "what is no job is not run");
  ok(kit_request(&k, "job.run", "{'app':'a','service':'x'}", false)->code == BT_NOT_FOUND, "nor what is not there");
  kit_end(&k);
}

static char *zone(const char *rule) {
  BT_AUTO_BUF b = {0};
  zone_bytes(&b, rule);
  char *text = bt_calloc(b.len * 2, 1);
  sodium_bin2base64(text, b.len * 2, (const unsigned char *)b.data, b.len, sodium_base64_VARIANT_ORIGINAL);
  return text;
}

static void by_hand_in_place(void) {
  begin(JOB("j", "", "'schedule':'0 0 1 1 *','concurrency':'replace'"));
  kit_request(&k, "job.run", "{'app':'a','service':'j'}", false);
  kit_all_run(&k);
  const struct bt_reply *reply = kit_request(&k, "job.run", "{'app':'a','service':'j'}", false);
  ok(reply && reply->code == BT_OK && bt_json_int(reply->result, "run", 0) == 2, "replace: a second one is taken");
  job_is("j", "scheduled: 1 active, next 00:00:00, last 1 failed", "in place of the first one, which is being stopped");
  says_why("a/j", "run 1 failed at 2023-11-14T22:13:20.500Z: a run that was asked for replaces it");
  BT_AUTO_FREE char *early = running("j", 0);
  ok(!early, "it has no container while that of the first one is being stopped");
  says_why("a/j", "run 2 waits until the containers of the one before are stopped");
  kit_reload(&k);
  kit_hello(&k);
  kit_tick(&k, 1000);
  BT_AUTO_FREE char *early_too = running("j", 0);
  ok(!early_too, "nor after a crash of the server");
  kit_all_leave(&k);
  job_is("j", "running: 1 active, next 00:00:00, last 1 failed", "then it begins");
  finish("j", 0);
  job_is("j", "scheduled: 0 active, next 00:00:00, last 2 succeeded", "and is through");
  kit_end(&k);
}

/* The two days of the year. */
static void summer_time(void) {
  BT_AUTO_FREE char *berlin = zone("CET-1CEST,M3.5.0,M10.5.0/3");
  kit_start(&k);
  kit_hello(&k);
  k.now = 1711800000000; /* 2024-03-30T12:00Z */
  BT_AUTO_FREE char *args = bt_asprintf("{'app':'a','zones':{'Europe/Berlin':'%s'},'model':{'services':{" JOB("j", "", "'schedule':'30 2 * * *','time_zone':'Europe/Berlin'") "}},'contents':{}}", berlin);
  kit_request(&k, "app.apply", args, false);
  kit_resolve(&k, "1");
  job_is("j", "scheduled: 0 active, next 01:00:00, last 0 -", "02:30 does not exist: it is due at 03:00");
  kit_tick(&k, 13 * 3600000);
  job_is("j", "running: 1 active, next 00:30:00, last 0 -", "once, and the next day at 02:30");
  finish("j", 0);
  k.now = 1729944000000; /* 2024-10-26T12:00Z: the months between are made up for by one run */
  kit_tick(&k, 0);
  finish("j", 0);
  job_is("j", "scheduled: 0 active, next 00:30:00, last 2 succeeded", "02:30 comes twice: it is due the first time");
  kit_tick(&k, 12 * 3600000 + 1800000);
  finish("j", 0);
  job_is("j", "scheduled: 0 active, next 01:30:00, last 3 succeeded", "and then the day after");
  kit_tick(&k, 3600000);
  is_int(count("j"), 3, "so not the second time");
  kit_end(&k);
}

static void suspended(void) {
  begin(JOB("j", "", "'schedule':'* * * * *','suspend':true"));
  kit_tick(&k, 600000);
  job_is("j", "suspended: 0 active, next -, last 0 -", "nothing is due while it is suspended");
  apply(JOB("j", "", "'schedule':'* * * * *'"));
  job_is("j", "scheduled: 0 active, next 22:24:00, last 0 -", "and nothing is made up for");
  kit_end(&k);
}

static void after_jobs(void) {
#define AFTER(on) ",'depends_on':{'" on "':{'condition':'service_completed_successfully'}}"
#define FOLLOW(name, after) "'" name "':{'image':'i:1','deploy':{'mode':'replicated-job'}" after "}"
  begin(JOB("extract", "", "'schedule':'*/10 * * * *'") "," FOLLOW("clean", AFTER("extract")) "," FOLLOW("count", AFTER("extract")) ","
        FOLLOW("report", ",'depends_on':{'clean':{'condition':'service_completed_successfully'},'count':{'condition':'service_completed_successfully'}}") ","
        "'web':{'image':'w:1','depends_on':{'extract':{'condition':'service_started'}}}," "'late':{'image':'w:1','depends_on':{'extract':{'condition':'service_completed_successfully'}}}");
  BT_AUTO_FREE char *web = running("web", 0), *late = running("late", 0);
  ok(web && !late, "who waits for its success waits, who does not begins");
  says_why("a/report", "it runs after each run of clean, count that succeeds");
  kit_tick(&k, 400000); /* 22:20 */
  is_int(count("extract") + count("clean") + count("count") + count("report"), 1, "the first of them runs alone");
  finish("extract", 0);
  is_int(count("clean") + count("count"), 2, "both that follow it begin");
  is_int(count("report"), 0, "their follower does not");
  BT_AUTO_FREE char *begun = running("late", 0);
  ok(begun != NULL, "who waited for the first success begins");
  finish("clean", 0);
  is_int(count("report"), 0, "nor after one of the two");
  finish("count", 0);
  is_int(count("report"), 1, "but after both");
  finish("report", 0);
  job_is("report", "scheduled: 0 active, next -, last 1 succeeded", "it is through");
  kit_tick(&k, 600000);
  finish("extract", 0);
  finish("clean", 0);
  finish("count", 1);
  is_int(count("report"), 1, "the second time one fails, and nothing follows");
  kit_request(&k, "job.run", "{'app':'a','service':'count'}", false);
  finish("count", 0);
  is_int(count("report"), 2, "until that one was run again");
  kit_reload(&k);
  kit_hello_again(&k);
  is_int(count("report"), 2, "and a restart of the server repeats nothing");
  kit_end(&k);
}

static void server_restarts(void) {
  begin(JOB("j", "", "'schedule':'@every 30s','concurrency':'forbid'"));
  kit_tick(&k, 30000);
  kit_all_run(&k);
  kit_reload(&k);
  kit_hello_again(&k);
  job_is("j", "running: 1 active, next 22:14:20, last 0 -", "a run is the same run after a restart of the server");
  BT_AUTO_FREE char *id = running("j", 0);
  k.now += 3600000;
  kit_reload(&k);
  kit_hello_again(&k);
  kit_report(&k, id, "exited", false, 0);
  job_is("j", "running: 1 active, next 23:14:20, last 1 succeeded", "of an hour's runs one follows");
  kit_end(&k);
}

/* The environment of what was assigned last. Borrowed. */
static const char *env(const char *name) { return bt_json_str(bt_json_obj(bt_json_obj(kit_sent(&k, "assign", 0), "instance"), "environment"), name); }

static void retries(void) {
  begin(JOB("j", ",'restart_policy':{'condition':'on-failure'}", "'schedule':'0 0 1 1 *','completions':3,'max_concurrent':1,'backoff_limit':2"));
  kit_request(&k, "job.run", "{'app':'a','service':'j'}", false);
  is_str(env("BERTH_JOB_INDEX"), "0", "the first index");
  finish("j", 0);
  is_str(env("BERTH_JOB_INDEX"), "1", "the next one when it is through");
  finish("j", 7);
  ok(bt_streq(env("BERTH_JOB_INDEX"), "1") && bt_streq(env("BERTH_JOB_ATTEMPT"), "2"), "what failed is tried again at once");
  finish("j", 7);
  is_str(env("BERTH_JOB_INDEX"), "2", "and what fails again is not waited for");
  finish("j", 0);
  job_is("j", "running: 1 active, next 00:00:00, last 0 -", "the run goes on while an attempt is left");
  kit_all_leave(&k);
  kit_tick(&k, 20000);
  ok(bt_streq(env("BERTH_JOB_INDEX"), "1") && bt_streq(env("BERTH_JOB_ATTEMPT"), "3"), "after a pause it has its last attempt");
  finish("j", 7);
  job_is("j", "scheduled: 0 active, next 00:00:00, last 1 failed", "and when that fails, the run has");
  says_why("a/j", "1 of 3 completions failed and have no attempt left");
  ok(!bt_json_str(bt_json_obj(bt_json_obj(kit_sent(&k, "assign", 0), "instance"), "environment"), "BERTH_JOB_SCHEDULED_AT"), "by hand it was due at no time");
  kit_end(&k);
}

/* A spec that changes while a run is active: the run goes on with what it began with. */
static void changed_meanwhile(void) {
  begin(JOB("j", ",'restart_policy':{'condition':'on-failure'}", "'schedule':'0 0 1 1 *','completions':2,'max_concurrent':1"));
  kit_request(&k, "job.run", "{'app':'a','service':'j'}", false);
  kit_all_run(&k);
  apply("'j':{'image':'i:2','deploy':{'mode':'replicated-job'},'x-berth':{'job':{'schedule':'0 0 1 1 *','completions':1}}}");
  is_int(count("j"), 1, "an apply leaves it alone");
  finish("j", 0);
  const json_t *assign = bt_json_obj(kit_sent(&k, "assign", 0), "instance");
  is_str(bt_json_str(assign, "image_ref"), "i:1", "its second completion is of the same image");
  finish("j", 0);
  job_is("j", "scheduled: 0 active, next 00:00:00, last 1 succeeded", "it succeeds with both");
  kit_request(&k, "job.run", "{'app':'a','service':'j'}", false);
  is_str(bt_json_str(bt_json_obj(kit_sent(&k, "assign", 0), "instance"), "image_ref"), "i:2", "the next run is of the new one");
  kit_end(&k);
}

/* The wall clock is set while the server runs. */
static void clock_is_set(void) {
  begin(JOB("j", "", "'schedule':'0 * * * *'"));
  k.set = 3600000;
  kit_tick(&k, 1000);
  job_is("j", "running: 1 active, next 00:00:00, last 0 -", "an hour ahead: what was due meanwhile runs, once");
  finish("j", 0);
  k.set = 0;
  kit_tick(&k, 1000);
  kit_tick(&k, 2800000);
  is_int(count("j"), 1, "an hour back: 23:00 does not come twice");
  kit_tick(&k, 3600000);
  is_int(count("j"), 2, "midnight comes");
  kit_end(&k);
}

static void zones(void) {
  BT_AUTO_FREE char *berlin = zone("CET-1CEST,M3.5.0,M10.5.0/3"), *other = zone("XXX-5");
  kit_start(&k);
  kit_hello(&k);
  const char *model = "'model':{'services':{" JOB("j", "", "'schedule':'0 2 * * *','time_zone':'Europe/Berlin'") "}},'contents':{}";
  BT_AUTO_FREE char *without = bt_asprintf("{'app':'a',%s}", model), *with = bt_asprintf("{'app':'a','zones':{'Europe/Berlin':'%s'},%s}", berlin, model);
  const struct bt_reply *reply = kit_request(&k, "app.apply", without, false);
  ok(reply->code == BT_INVALID && strstr(reply->message, "no time zone \"Europe/Berlin\""), "a zone that is not known: %s", reply->message);
  reply = kit_request(&k, "app.apply", with, false);
  is_int(reply->code, BT_OK, "one that came with the app");
  kit_resolve(&k, "1");
  job_is("j", "scheduled: 0 active, next 01:00:00, last 0 -", "two o'clock in Berlin");
  kit_reload(&k);
  job_is("j", "scheduled: 0 active, next 01:00:00, last 0 -", "also after a restart of the server");
  BT_AUTO_JSON names = bt_control_zones(k.c);
  is_str(json_string_value(json_array_get(names, 0)), "Europe/Berlin", "the daemon asks which zones there are");
  BT_AUTO_FREE char *put = bt_asprintf("{'zones':{'Europe/Berlin':'%s','../x':'%s'}}", other, other);
  kit_request(&k, "zones.put", put, false);
  job_is("j", "scheduled: 0 active, next 21:00:00, last 0 -", "a zone that changed counts at once");
  kit_request(&k, "zones.put", "{'zones':{'Europe/Berlin':'bm90aGluZw=='}}", false);
  job_is("j", "scheduled: 0 active, next 21:00:00, last 0 -", "what is no zone changes nothing");
  kit_end(&k);
}

static void changes_of_kind(void) {
  begin(JOB("j", "", ""));
  finish("j", 0);
  apply(JOB("j", "", "'schedule':'* * * * *'"));
  kit_all_leave(&k);
  is_int(count("j"), 0, "a job that gets a schedule begins anew");
  kit_tick(&k, 60000);
  is_int(count("j"), 1, "when it is due");
  apply(JOB("j", "", ""));
  kit_all_leave(&k);
  is_int(count("j"), 1, "and runs at once when it loses it");
  finish("j", 0);
  kit_is_state(&k, "a", "running");
  apply("'j':{'image':'i:1'}");
  kit_all_leave(&k);
  kit_all_run(&k);
  kit_all_leave(&k);
  kit_is_state(&k, "a", "deploying");
  kit_request(&k, "app.remove", "{'app':'a'}", false);
  kit_all_leave(&k);
  is_int(count("j"), 0, "and goes with its app");
  kit_end(&k);
}

/* One container at a time, also where a job gets a schedule or loses it while it runs. */
static void one_at_a_time(void) {
  begin(JOB("j", "", ""));
  kit_all_run(&k);
  apply(JOB("j", "", "'schedule':'* * * * *','concurrency':'forbid'"));
  kit_tick(&k, 60000);
  job_is("j", "running: 0 active, next 22:15:00, last 0 -", "what ran before is stopped first");
  kit_all_leave(&k);
  job_is("j", "running: 1 active, next 22:15:00, last 0 -", "then the run that was due begins");
  kit_all_run(&k);
  apply(JOB("j", "", ""));
  is_int(count("j"), 1, "without a schedule its run is stopped first");
  kit_all_leave(&k);
  BT_AUTO_FREE char *id = running("j", 0);
  ok(id != NULL, "then it begins anew");
  kit_end(&k);
}

static void crowd(void) {
  begin(JOB("j", "", "'schedule':'@every 1s'"));
  for (int i = 0; i < 130; i++)
    kit_tick(&k, 1000);
  BT_AUTO_JSON o = service("j");
  is_int(bt_json_int(bt_json_obj(o, "job"), "active", 0), 100, "a hundred runs at once are the most");
  says_why("a/j", "100 runs are active, which is the most");
  kit_end(&k);
}

int main(void) {
  by_schedule();
  history();
  concurrency();
  deadlines();
  single();
  by_hand();
  by_hand_in_place();
  summer_time();
  suspended();
  after_jobs();
  server_restarts();
  retries();
  changed_meanwhile();
  clock_is_set();
  zones();
  changes_of_kind();
  one_at_a_time();
  crowd();
  return done_testing();
}
