/* What an instance needs, by what was used: plan/usage. */
#include "plan/usage.h"

#include <math.h>

#include "base/json.h"
#include "base/mem.h"
#include "tap.h"

#define HOUR (3600 * 1000LL)
#define BEGIN 1700000000000LL
#define MB 1000000.0

static struct bt_usage u;
static struct bt_usage_advice a;

static void advise(void) { bt_usage_advise(&u, 0, 0, 0, 0, &a); }

static bool near(double v, double want, double share) { return fabs(v - want) <= share * want; }

static void buckets(void) {
  bool monotonous = true, inside = true;
  ok(bt_usage_bucket(0, 0.01) == 0 && bt_usage_bucket(-5, 0.01) == 0 && bt_usage_bucket(NAN, 0.01) == 0, "nothing is in the first");
  ok(bt_usage_bucket(1e300, 0.01) == BT_USAGE_BUCKETS - 1 && bt_usage_bucket(INFINITY, 0.01) == BT_USAGE_BUCKETS - 1, "the absurd in the last");
  for (double v = 0.011; v < 900; v *= 1.013) {
    int b = bt_usage_bucket(v, 0.01);
    double end = bt_usage_bucket_end(b, 0.01);
    monotonous = monotonous && b <= bt_usage_bucket(v * 1.01, 0.01);
    inside = inside && v <= end * (1 + 1e-9) && end <= v * 1.05 + 0.01 + 1e-9;
  }
  ok(monotonous, "buckets rise");
  ok(inside, "each ends within 5 %% and 0.01 above its values");
  ok(bt_usage_bucket_end(BT_USAGE_BUCKETS - 1, 0.01) > 1000 && bt_usage_bucket_end(BT_USAGE_BUCKETS - 1, 1e7) > 1e12, "they reach to 1,000 cpus and 1 TB");
}

static void percentiles(void) {
  u = (struct bt_usage){0};
  advise();
  ok(!a.known, "nothing seen, nothing known");
  for (int i = 0; i < 1000; i++)
    bt_usage_add(&u, i % 12 == 11 ? 2.0 : 0.2, (i == 500 ? 900 : 100) * MB, 0.5, BEGIN + i * 60000);
  advise();
  ok(a.known && a.history_ms == 999 * 60000, "16 h of history");
  ok(near(a.cpus, 0.2 * 1.15, 0.12), "eleven of twelve samples at 0.2: %g cpus", a.cpus);
  ok(near(a.cpus_high, 2 * 1.15 * (1 + 1 / (999.0 / 1440)), 0.12), "the 95th is at 2, and not much is known yet: %g", a.cpus_high);
  ok(a.cpus_low <= a.cpus && a.cpus <= a.cpus_high, "in order");
  ok(near((double)a.memory, 100 * MB * 1.15, 0.15), "one hour of 17 had a peak, which is over the 90th: %g MB", (double)a.memory / MB);
  ok(near((double)a.memory_high, 900 * MB * 1.15 * (1 + 1 / (999.0 / 1440)), 0.12) || a.memory_high < 900 * MB, "its upper end may have it");
  u = (struct bt_usage){0};
  for (int i = 0; i < 600; i++)
    bt_usage_add(&u, -1, (i % 60 == 30 ? 500 : 100) * MB, 0, BEGIN + i * 60000);
  advise();
  ok(near((double)a.memory, 500 * MB * 1.15, 0.08), "of each hour the peak counts: %g MB", (double)a.memory / MB);
  ok(a.cpus == 0, "cpus that nobody knows are none");
}

static void fades(void) {
  u = (struct bt_usage){0};
  for (int i = 0; i < 24 * 7; i++)
    bt_usage_add(&u, 4, 4000 * MB, 1, BEGIN + i * HOUR);
  advise();
  ok(near(a.cpus, 4 * 1.15, 0.06), "a week at 4 cpus");
  int days = 0;
  for (int64_t t = BEGIN + 24 * 7 * HOUR; a.cpus > 1 && days < 60; days++, t += 24 * HOUR) {
    for (int i = 0; i < 24; i++)
      bt_usage_add(&u, 0.5, 500 * MB, 1, t + i * HOUR);
    advise();
  }
  ok(days >= 3 && days <= 5, "a tenth of the weight is left after log2(10) half-lives: %d days", days);
  for (int i = 0; i < 3000; i++)
    bt_usage_add(&u, 0.5, 500 * MB, 1, BEGIN + (24 * 30 + i * 24LL) * HOUR);
  advise();
  ok(isfinite(a.cpus) && near(a.cpus, 0.5 * 1.15, 0.08) && near((double)a.memory, 500 * MB * 1.15, 0.06), "after eight years weights are still numbers");
}

static void bounds(void) {
  u = (struct bt_usage){0};
  for (int i = 0; i < 100; i++)
    bt_usage_add(&u, 1, 1000 * MB, 1, BEGIN + i * 60000);
  bt_usage_advise(&u, 2, 4, 0, 0, &a);
  is_int(a.cpus * 1000, 2000, "not below the least");
  bt_usage_advise(&u, 0, 0.5, 0, (int64_t)(300 * MB), &a);
  ok(a.cpus == 0.5 && a.cpus_high == 0.5 && a.memory == (int64_t)(300 * MB), "nor above the most");
}

static void absurd(void) {
  u = (struct bt_usage){0};
  bt_usage_add(&u, NAN, NAN, NAN, BEGIN);
  bt_usage_add(&u, INFINITY, INFINITY, 1, BEGIN + HOUR);
  bt_usage_add(&u, -INFINITY, -1, -1, BEGIN - 100 * HOUR);
  bt_usage_add(&u, 1e300, 1e300, 1, BEGIN + 2 * HOUR);
  advise();
  ok(isfinite(a.cpus) && a.cpus > 0 && a.memory > 0, "nonsense makes no nonsense: %g cpus, %lld bytes", a.cpus, (long long)a.memory);
}

static void kept(void) {
  u = (struct bt_usage){0};
  for (int i = 0; i < 5000; i++)
    bt_usage_add(&u, (i * 7919 % 1000) / 250.0, (i * 104729 % 1000) * MB, 0.5, BEGIN + i * 60000);
  advise();
  struct bt_usage_advice before = a;
  BT_AUTO_JSON o = bt_usage_json(&u);
  BT_AUTO_FREE char *text = bt_json_text(o);
  bt_usage_of(o, &u);
  advise();
  ok(near(a.cpus, before.cpus, 0.001) && near((double)a.memory, (double)before.memory, 0.001) && a.history_ms == before.history_ms, "what was kept says the same");
  ok(strlen(text) < 4096, "in %zu bytes", strlen(text));
  BT_AUTO_JSON wrong = json_loads("{\"cpu\":{\"most\":1e300,\"buckets\":[-1,5,999,5,3,-7,\"x\",1,2]},\"memory\":7,\"first\":1}", 0, NULL);
  bt_usage_of(wrong, &u);
  advise();
  ok(a.cpus == 0, "what is not ours is left out");
}

int main(void) {
  buckets();
  percentiles();
  fades();
  bounds();
  absurd();
  kept();
  return done_testing();
}
