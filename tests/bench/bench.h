/* What benches share: one JSON object a line, "ok" computed from what was measured. A bench is a program bench_NAME or a
 * script NAME.sh in tests/bench; "make bench" runs all, "make bench BENCH=NAME" one. */
#ifndef BT_TESTS_BENCH_H
#define BT_TESTS_BENCH_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* NAN stands for "there is none". at_least: reach is a lower bound; else an upper one. */
struct bench_result {
  const char *name, *unit;
  double value, floor, peer, ratio, reach;
  bool at_least;
  const char *more; /* further members as JSON text that begins with a comma, or NULL */
};

static inline void bench_number(const char *key, double v) {
  if (isnan(v))
    printf("\"%s\": null, ", key);
  else
    printf("\"%s\": %.6g, ", key, v);
}

/* Prints the line; returns the exit code. The ratio is what is compared, or the value where there is no ratio. */
static inline int bench_print(const struct bench_result *r) {
  double got = isnan(r->ratio) ? r->value : r->ratio;
  bool good = r->at_least ? got >= r->reach : got <= r->reach;
  printf("{\"bench\": \"%s\", ", r->name);
  bench_number("value", r->value);
  printf("\"unit\": \"%s\", ", r->unit);
  bench_number("floor", r->floor);
  bench_number("peer", r->peer);
  bench_number("ratio", r->ratio);
  bench_number("reach", r->reach);
  printf("\"ok\": %s%s}\n", good ? "true" : "false", r->more ? r->more : "");
  return good ? 0 : 1;
}

static inline int bench_compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static inline double bench_median(double *v, size_t n) {
  qsort(v, n, sizeof *v, bench_compare);
  return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

#endif
