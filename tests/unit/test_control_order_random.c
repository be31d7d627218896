/* Control and order by chance: nobody is oversold, no budget is overdrawn, and when all is quiet nobody waits for what is free or lower. */
#include "config.h"

#include "control_order.h"

enum { HOSTS = 4, APPS = 9 };
struct play {
  struct kit k;
  int cpus[HOSTS];
  bool shut[HOSTS], patient;
  struct made {
    bool there, gang, job, spared; /* spared: one may be missing at a time */
    int priority, tenths;          /* of a cpu */
    bool says;
  } apps[APPS];
};

static const char *space_of(int app) { return spaces[app % 3]; }
static int given_to(const char *ns) { return bt_streq(ns, "a") ? 10 : 0; } /* what the operator gives */

static bool is_lower(const struct play *p, int victim, int asker) {
  const char *v = space_of(victim), *a = space_of(asker);
  int vp = p->apps[victim].says ? p->apps[victim].priority : given_to(v), ap = p->apps[asker].says ? p->apps[asker].priority : given_to(a);
  if (bt_streq(v, a))
    return vp < ap;
  return given_to(a) != 0 && BT_MIN(vp, given_to(v)) < BT_MIN(ap, given_to(a));
}

static int app_of(const json_t *o) { return bt_json_str(o, "app")[3] - '0'; }
static int node_of(const json_t *o) { return bt_json_str(o, "node") ? bt_json_str(o, "node")[1] - '1' : -1; }

static const char *oversold(const struct play *p) {
  BT_AUTO_JSON l = list(&p->k, NULL, NULL);
  int used[HOSTS] = {0}, going[APPS] = {0};
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) {
    if (node_of(o) >= 0 && !(p->apps[app_of(o)].job && bt_json_bool(o, "ended", false)))
      used[node_of(o)] += p->apps[app_of(o)].tenths;
    going[app_of(o)] += bt_json_bool(o, "leaving", false) && bt_starts(bt_json_str_or(o, "reason", ""), "preempted");
  }
  for (int n = 0; n < HOSTS; n++)
    if (used[n] > p->cpus[n] * 10)
      return "a node is oversold";
  for (int a = 0; a < APPS; a++)
    if (p->apps[a].spared && !p->apps[a].job && going[a] > 1)
      return "a budget is overdrawn";
  return NULL;
}

static const char *tell(const json_t *o, const char *wrong) {
  printf("# %s: %s\n", bt_json_str(o, "instance"), bt_json_str_or(o, "reason", "(no reason)"));
  return wrong;
}

/* Nobody waits for what those of lower priority could leave, or for what is free. */
static const char *inverted(const struct play *p) {
  BT_AUTO_JSON l = list(&p->k, NULL, NULL);
  size_t i, k;
  json_t *o, *v;
  bool kept = false; /* for who has waited long, until jobs end */
  json_array_foreach(l, i, o) kept = kept || bt_starts(bt_json_str_or(o, "reason", ""), "waits for jobs on");
  json_array_foreach(l, i, o) {
    int me = app_of(o), left[HOSTS], idle[HOSTS];
    if (bt_json_bool(o, "leaving", false))
      return "somebody still leaves";
    if (node_of(o) >= 0 || p->apps[me].gang || kept)
      continue;
    for (int n = 0; n < HOSTS; n++)
      left[n] = idle[n] = p->shut[n] ? -1000 : p->cpus[n] * 10;
    json_array_foreach(l, k, v) {
      int other = app_of(v);
      if (node_of(v) < 0 || (p->apps[other].job && bt_json_bool(v, "ended", false)))
        continue;
      idle[node_of(v)] -= p->apps[other].tenths;
      if (!is_lower(p, other, me) || (p->apps[other].spared && !p->apps[other].job))
        left[node_of(v)] -= p->apps[other].tenths;
    }
    for (int n = 0; n < HOSTS; n++)
      if (idle[n] >= p->apps[me].tenths)
        return tell(o, "somebody waits for what is free");
    for (int n = 0; n < HOSTS; n++)
      if (left[n] >= p->apps[me].tenths)
        return tell(o, "somebody waits for who is lower");
  }
  return NULL;
}

static void put_app(struct play *p, int a) {
  struct made *m = &p->apps[a];
  char name[16], cpus[32];
  snprintf(name, sizeof name, "app%d", a);
  int replicas = 1 + rand() % 4;
  if (!m->there)
    *m = (struct made){.there = true, .gang = rand() % 5 == 0, .job = rand() % 4 == 0, .spared = rand() % 3 == 0, .priority = rand() % 5 * 4 - 4, .tenths = 5 * (1 + rand() % 4),
                       .says = rand() % 3 > 0};
  snprintf(cpus, sizeof cpus, "%d.%d", m->tenths / 10, m->tenths % 10);
  BT_AUTO_FREE char *priority = m->says ? bt_asprintf("'priority':%d", m->priority) : bt_strdup("");
  BT_AUTO_FREE char *berth = bt_asprintf("'placement':{%s%s%s}%s", m->gang ? "'gang':true" : "", m->gang && m->says ? "," : "", priority,
                                         m->job || m->spared ? "" : ",'disruption':{'max_unavailable':'100%'}");
  app_in(&p->k, space_of(a), name, replicas, cpus, m->job ? JOB : "", berth);
}

static void drop_app(struct play *p, int a) {
  char name[16];
  snprintf(name, sizeof name, "app%d", a);
  end(&p->k, space_of(a), name);
  settle(&p->k);
}

#define SETTINGS "{'namespaces':{'a':{'priority':10,'weight':2}}}"

static void again(struct play *p) {
  kit_reload(&p->k);
  settings(&p->k, SETTINGS);
  for (int n = 0; n < HOSTS; n++) {
    char name[16];
    snprintf(name, sizeof name, "n%d", n + 1);
    join(&p->k, name, p->cpus[n]);
  }
}

static void end_job(struct play *p) {
  BT_AUTO_JSON l = list(&p->k, NULL, NULL);
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) if (p->apps[app_of(o)].job && node_of(o) >= 0 && !bt_json_bool(o, "leaving", false) && rand() % 2) {
    speak(&p->k, o, "exited");
    return;
  }
}

static void one_move(struct play *p) {
  int what = rand() % 12, a = rand() % APPS, n = rand() % HOSTS;
  if (what < 4) {
    put_app(p, a);
  } else if (what < 5 && p->apps[a].there) {
    drop_app(p, a);
  } else if (what < 6) {
    BT_AUTO_FREE char *args = bt_asprintf("{'node':'n%d','cordoned':%s}", n + 1, p->shut[n] ? "false" : "true");
    p->shut[n] = !p->shut[n];
    kit_request(&p->k, "node.cordon", args, false);
  } else if (what < 7) {
    again(p);
  } else if (what < 9) {
    end_job(p);
  } else if (what < 10) {
    kit_tick(&p->k, rand() % (p->patient ? 100000 : 3000));
  } else if (what < 11) {
    all_leave(&p->k);
  } else {
    all_run(&p->k);
  }
}

static const char *one_play(void) {
  struct play p = {0};
  const char *wrong = NULL;
  kit_start(&p.k);
  p.patient = rand() % 4 == 0;
  settings(&p.k, SETTINGS);
  for (int n = 0; n < HOSTS; n++) {
    char name[16];
    snprintf(name, sizeof name, "n%d", n + 1);
    join(&p.k, name, p.cpus[n] = 1 + rand() % 4);
  }
  for (int i = 0; i < 40 && !wrong; i++) {
    one_move(&p);
    wrong = oversold(&p);
    if (wrong || i % 10 != 9)
      continue;
    for (int r = 0; r < 6; r++) {
      settle(&p.k);
      kit_tick(&p.k, 100);
    }
    wrong = inverted(&p);
  }
  kit_end(&p.k);
  return wrong;
}

static void test_random(void) {
  int rounds = getenv("BERTH_TEST_ROUNDS") ? atoi(getenv("BERTH_TEST_ROUNDS")) : 15, from = getenv("BERTH_TEST_SEED") ? atoi(getenv("BERTH_TEST_SEED")) : 1;
  for (int seed = from; seed < from + rounds; seed++) {
    srand((unsigned)seed);
    const char *wrong = one_play();
    if (wrong)
      ok(false, "seed %d: %s", seed, wrong);
  }
  ok(true, "%d rounds by chance", rounds);
}

int main(void) {
  test_random();
  return done_testing();
}
