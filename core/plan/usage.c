#include "config.h"

#include "plan/usage.h"

#include <math.h>

#include "base/json.h"
#include "base/mem.h"

#define GROWTH 0.05
#define FIRST_CPUS 0.01
#define FIRST_MEMORY 1e7
#define HALF_LIFE_MS (24 * 3600 * 1000.0)
#define PEAK_MS (3600 * 1000)
#define LEAST_WEIGHT 0.1  /* of a cpu sample */
#define MARGIN 1.15
#define LEAST_HISTORY_MS (5 * 60 * 1000)
#define FAR 40            /* half-lives after which weights are brought down, so that they stay numbers */

int bt_usage_bucket(double value, double first) {
  if (!(value > 0))
    return 0;
  double at = floor(log(value / first * GROWTH + 1) / log(1 + GROWTH));
  return at >= BT_USAGE_BUCKETS - 1 ? BT_USAGE_BUCKETS - 1 : (int)at;
}

static double bucket_start(int bucket, double first) { return first * (pow(1 + GROWTH, bucket) - 1) / GROWTH; }

double bt_usage_bucket_end(int bucket, double first) { return bucket_start(BT_MIN(bucket + 1, BT_USAGE_BUCKETS), first); }

/* ---- samples ---- */

static void bring_down(struct bt_usage *u, int64_t now_ms) {
  double by = exp2(-(double)(now_ms - u->reference_ms) / HALF_LIFE_MS);
  for (int i = 0; i < BT_USAGE_BUCKETS; i++) {
    u->cpu[i] = (float)(u->cpu[i] * by);
    u->memory[i] = (float)(u->memory[i] * by);
  }
  u->reference_ms = now_ms;
}

static double weight_at(struct bt_usage *u, int64_t now_ms) {
  if (u->reference_ms == 0)
    u->reference_ms = now_ms;
  if ((double)(now_ms - u->reference_ms) > FAR * HALF_LIFE_MS)
    bring_down(u, now_ms);
  return exp2((double)BT_MAX(0, now_ms - u->reference_ms) / HALF_LIFE_MS);
}

static void add_peak(struct bt_usage *u, int64_t now_ms) {
  if (u->peak > 0)
    u->memory[bt_usage_bucket(u->peak, FIRST_MEMORY)] += (float)weight_at(u, now_ms);
  u->peak = 0;
  u->peak_since_ms = now_ms;
}

void bt_usage_add(struct bt_usage *u, double cpus, double bytes, double request, int64_t now_ms) {
  double weight = weight_at(u, now_ms);
  u->first_ms = u->first_ms ? BT_MIN(u->first_ms, now_ms) : now_ms;
  u->last_ms = BT_MAX(u->last_ms, now_ms);
  if (isfinite(cpus) && cpus >= 0)
    u->cpu[bt_usage_bucket(cpus, FIRST_CPUS)] += (float)(weight * BT_MAX(request, LEAST_WEIGHT));
  if (!isfinite(bytes) || bytes < 0)
    return;
  if (u->peak_since_ms == 0 || now_ms < u->peak_since_ms)
    u->peak_since_ms = now_ms;
  if (now_ms - u->peak_since_ms >= PEAK_MS)
    add_peak(u, now_ms);
  u->peak = BT_MAX(u->peak, bytes);
}

/* ---- advice ---- */

/* The upper end of the bucket in which the share of all weight is reached; 0: there is none. extra, in a bucket: the peak that is being found. */
static double percentile(const float *weights, int extra, double extra_weight, double share, double first) {
  double all = extra >= 0 ? extra_weight : 0, sum = 0;
  for (int i = 0; i < BT_USAGE_BUCKETS; i++)
    all += (double)weights[i];
  if (all <= 0)
    return 0;
  for (int i = 0; i < BT_USAGE_BUCKETS; i++) {
    sum += (double)weights[i] + (i == extra ? extra_weight : 0);
    if (sum >= share * all * (1 - 1e-6))
      return bt_usage_bucket_end(i, first);
  }
  return bt_usage_bucket_end(BT_USAGE_BUCKETS - 1, first);
}

static double between(double v, double min, double max) { return BT_MAX(max > 0 ? BT_MIN(v, max) : v, min); }

void bt_usage_advise(const struct bt_usage *u, double cpus_min, double cpus_max, int64_t memory_min, int64_t memory_max, struct bt_usage_advice *out) {
  *out = (struct bt_usage_advice){.history_ms = u->last_ms - u->first_ms};
  out->known = u->first_ms > 0 && out->history_ms >= LEAST_HISTORY_MS;
  if (!out->known)
    return;
  double days = (double)out->history_ms / HALF_LIFE_MS, low = pow(1 + 0.001 / days, -2), high = 1 + 1 / days;
  int peak = u->peak > 0 ? bt_usage_bucket(u->peak, FIRST_MEMORY) : -1;
  double weight = exp2((double)BT_MAX(0, u->last_ms - u->reference_ms) / HALF_LIFE_MS);
  double cpu[3], memory[3];
  static const double shares[] = {0.5, 0.9, 0.95};
  for (size_t i = 0; i < BT_COUNT(shares); i++) {
    double times = MARGIN * (i == 0 ? low : i == 1 ? 1 : high);
    cpu[i] = between(percentile(u->cpu, -1, 0, shares[i], FIRST_CPUS) * times, cpus_min, cpus_max);
    memory[i] = between(percentile(u->memory, peak, weight, shares[i], FIRST_MEMORY) * times, (double)memory_min, (double)memory_max);
  }
  out->cpus_low = cpu[0];
  out->cpus = ceil(cpu[1] * 1000 - 1e-6) / 1000;
  out->cpus_high = cpu[2];
  out->memory_low = (int64_t)memory[0];
  out->memory = (int64_t)memory[1];
  out->memory_high = (int64_t)memory[2];
}

/* ---- kept ---- */

static json_t *weights_json(const float *weights) {
  json_t *o = json_array();
  float most = 0;
  for (int i = 0; i < BT_USAGE_BUCKETS; i++)
    most = BT_MAX(most, weights[i]);
  for (int i = 0; i < BT_USAGE_BUCKETS && most > 0; i++) {
    long n = lroundf(weights[i] / most * 10000);
    if (n > 0) {
      json_array_append_new(o, json_integer(i));
      json_array_append_new(o, json_integer(n));
    }
  }
  json_t *all = json_object();
  bt_json_set(all, "most", json_real((double)most));
  bt_json_set(all, "buckets", o);
  return all;
}

static void weights_of(const json_t *o, float *weights) {
  const json_t *list = bt_json_arr(o, "buckets");
  double most = bt_json_num(o, "most", 0);
  for (size_t i = 0; i + 1 < json_array_size(list) && isfinite(most) && most > 0; i += 2) {
    long long at = json_integer_value(json_array_get(list, i)), n = json_integer_value(json_array_get(list, i + 1));
    if (at >= 0 && at < BT_USAGE_BUCKETS && n > 0 && n <= 10000)
      weights[at] = (float)((double)n / 10000 * most);
  }
}

json_t *bt_usage_json(const struct bt_usage *u) {
  json_t *o = json_object();
  bt_json_set(o, "cpu", weights_json(u->cpu));
  bt_json_set(o, "memory", weights_json(u->memory));
  bt_json_set_int(o, "reference", u->reference_ms);
  bt_json_set_int(o, "first", u->first_ms);
  bt_json_set_int(o, "last", u->last_ms);
  bt_json_set_int(o, "peak_since", u->peak_since_ms);
  bt_json_set(o, "peak", json_real(u->peak));
  return o;
}

void bt_usage_of(const json_t *o, struct bt_usage *u) {
  *u = (struct bt_usage){.reference_ms = bt_json_int(o, "reference", 0), .first_ms = bt_json_int(o, "first", 0), .last_ms = bt_json_int(o, "last", 0),
                         .peak_since_ms = bt_json_int(o, "peak_since", 0), .peak = bt_json_num(o, "peak", 0)};
  weights_of(bt_json_obj(o, "cpu"), u->cpu);
  weights_of(bt_json_obj(o, "memory"), u->memory);
}
