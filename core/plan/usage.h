/* What one instance of a service needs, by what its instances used: Kubernetes' VerticalPodAutoscaler, after its recommender
 * (pkg/recommender/util/{histogram,decaying_histogram}.go, logic/recommender.go). Pure.
 *
 * Two histograms of 176 buckets whose bounds grow by 5 %: bucket i begins at first * (1.05^i - 1) / 0.05, first is 0.01 cpus and 10 MB. A cpu sample
 * weighs as much as its request (at least 0.1); of memory counts each instance's peak of the last 24 h, here the peak of all its instances in
 * windows of one hour, each with weight 1. Weights double every 24 h (half-life): w * 2^((t - t0) / 24 h), so that older ones fade.
 *
 * Recommended is the upper end of the bucket of the 90th percentile, with a margin of 15 %; the range is from the 50th, times (1 + 0.001/d)^-2, to the
 * 95th, times 1 + 1/d, where d is the days of history: with a day at hand the upper end is twice its percentile, with ten 10 % more.
 *
 * 1.5 KB each, whatever the number of instances and samples. A sample costs 20 ns. */
#ifndef BT_PLAN_USAGE_H
#define BT_PLAN_USAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { BT_USAGE_BUCKETS = 176 };

struct bt_usage {
  float cpu[BT_USAGE_BUCKETS], memory[BT_USAGE_BUCKETS]; /* weights, as of reference_ms */
  int64_t reference_ms;          /* when a weight of 1 is 1; 0: nothing was seen */
  int64_t first_ms, last_ms;     /* of all samples, by the wall clock */
  int64_t peak_since_ms;         /* the hour whose peak is being found; 0: none */
  double peak;                   /* bytes */
};

struct bt_usage_advice {
  bool known; /* false: less than a few minutes were seen */
  double cpus, cpus_low, cpus_high;
  int64_t memory, memory_low, memory_high; /* bytes */
  int64_t history_ms;
};

/* One instance used so many cpus (negative: not known) and bytes (likewise). request: cpus that it reserves. */
void bt_usage_add(struct bt_usage *usage, double cpus, double bytes, double request, int64_t now_ms);
/* Bounds: 0 for none. Recommended is within them. */
void bt_usage_advise(const struct bt_usage *usage, double cpus_min, double cpus_max, int64_t memory_min, int64_t memory_max, struct bt_usage_advice *out);
/* To keep and to take back: buckets that hold something, rounded to a 10,000th of the heaviest. */
json_t *bt_usage_json(const struct bt_usage *usage);
void bt_usage_of(const json_t *stored, struct bt_usage *out);
/* Where a sample counts, and the upper end of that bucket. For tests. */
int bt_usage_bucket(double value, double first);
double bt_usage_bucket_end(int bucket, double first);

#endif
