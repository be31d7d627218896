#include "config.h"

#include "plan/autoscale.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/plant.h"

static const char *const why_names[] = {"steady", "changed", "waiting", "limited", "bound", "missing"};

const char *bt_scale_why_name(enum bt_scale_why why) { return why_names[why]; }

/* ---- schedules ---- */

static int64_t to_ms(int64_t s) { return s == BT_CRON_NEVER ? INT64_MAX : s * 1000; }

void bt_scale_bounds(const struct bt_autoscale *spec, const struct bt_tz *const *zones, int64_t wall_ms, int *min, int *max, int64_t *wake_ms) {
  int low = -1, high = -1;
  *wake_ms = INT64_MAX;
  for (size_t i = 0; i < spec->schedules.len; i++) {
    const struct bt_scale_schedule *s = &spec->schedules.items[i];
    int64_t now_s = wall_ms / 1000;
    int64_t start = bt_cron_next(&s->start, zones ? zones[i] : NULL, now_s), end = bt_cron_next(&s->end, zones ? zones[i] : NULL, now_s);
    *wake_ms = BT_MIN(*wake_ms, BT_MIN(to_ms(start), to_ms(end)));
    if (end >= start) /* it begins before it ends: it is not on */
      continue;
    low = BT_MAX(low, s->min);
    high = BT_MAX(high, s->max);
  }
  *max = high >= 0 ? high : BT_MAX(spec->max, low);
  *min = BT_MIN(low >= 0 ? low : spec->min, *max);
}

/* ---- what the metrics ask for ---- */

enum { NO_OPINION = -1, MISSING = -2 };

static int bounded(double n) { return n >= BT_SCALE_MOST ? BT_SCALE_MOST : n <= 0 ? 0 : (int)ceil(n - 1e-9); }

static bool within(double ratio, double tolerance) { return fabs(1 - ratio) <= tolerance + 1e-9; }

static double request_of(const struct bt_scale_in *in, const struct bt_scale_metric *m) {
  return m->source == BT_SCALE_CPU ? in->request_cpus : in->request_memory;
}

/* Share of the target (1: just met) that the metric is at; NaN where that cannot be said. */
static double ratio_of(const struct bt_scale_in *in, size_t metric) {
  const struct bt_scale_metric *m = &in->spec->metrics.items[metric];
  const struct bt_scale_seen *seen = in->seen ? &in->seen[metric] : NULL;
  if (!seen || seen->missing || !isfinite(seen->value) || m->source == BT_SCALE_LUA)
    return NAN;
  if (m->source == BT_SCALE_QUERY)
    return m->total ? seen->value / m->target : in->current > 0 ? seen->value / m->target / in->current : NAN;
  double request = request_of(in, m) * seen->measured;
  return request > 0 ? seen->value / request / m->target : NAN;
}

/* GetResourceReplicas of replica_calculator.go. */
static int ask_resource(const struct bt_scale_in *in, size_t metric) {
  const struct bt_scale_metric *m = &in->spec->metrics.items[metric];
  double request = request_of(in, m), use = in->seen[metric].value, ratio = ratio_of(in, metric);
  int n = in->seen[metric].measured, silent = BT_MAX(0, in->ready - n);
  if (in->current == 0)
    return NO_OPINION; /* nothing is there that could use any */
  if (isnan(ratio))
    return MISSING;
  bool starting = ratio > 1 && in->starting > 0;
  if (!starting && silent == 0)
    return within(ratio, in->spec->tolerance) ? in->current : bounded(ratio * n);
  if (silent > 0 && ratio < 1)
    use += silent * request * BT_MAX(1, m->target);
  n += silent + (starting ? in->starting : 0);
  double again = use / (request * n) / m->target;
  if (within(again, in->spec->tolerance) || (ratio < 1 && again > 1) || (ratio > 1 && again < 1))
    return in->current;
  int asked = bounded(again * n);
  return (again < 1 && asked > in->current) || (again > 1 && asked < in->current) ? in->current : asked;
}

/* GetExternalPerPodMetricReplicas, GetExternalMetricReplicas. */
static int ask_query(const struct bt_scale_in *in, size_t metric) {
  const struct bt_scale_metric *m = &in->spec->metrics.items[metric];
  double value = in->seen[metric].value;
  if (!isfinite(value))
    return MISSING;
  if (value <= m->activation && (in->current == 0 || in->spec->min == 0))
    return 0;
  double share = value / m->target;
  int least = value > m->activation && value > 0;
  if (in->current == 0)
    return BT_MAX(least, bounded(share));
  if (within(ratio_of(in, metric), in->spec->tolerance))
    return in->current;
  if (m->total && in->ready == 0)
    return MISSING; /* what a whole bears that is not there cannot be said */
  return BT_MAX(least, bounded(m->total ? share * in->ready : share));
}

static int ask(const struct bt_scale_in *in, size_t metric) {
  const struct bt_scale_metric *m = &in->spec->metrics.items[metric];
  const struct bt_scale_seen *seen = &in->seen[metric];
  if (seen->missing)
    return (m->source == BT_SCALE_CPU || m->source == BT_SCALE_MEMORY) && in->current == 0 ? NO_OPINION : MISSING;
  if (m->source == BT_SCALE_LUA)
    return isnan(seen->value) ? NO_OPINION : isfinite(seen->value) || seen->value > 0 ? bounded(seen->value) : MISSING;
  return m->source == BT_SCALE_QUERY ? ask_query(in, metric) : ask_resource(in, metric);
}

static void say(struct bt_scale_out *out, enum bt_scale_why why, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void say(struct bt_scale_out *out, enum bt_scale_why why, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(out->reason, sizeof out->reason, fmt, ap);
  va_end(ap);
  out->why = why;
}

/* "cpu is at 142% of its target of 70%" */
static void words_of(const struct bt_scale_in *in, size_t metric, char *buf, size_t size) {
  const struct bt_scale_metric *m = &in->spec->metrics.items[metric];
  const struct bt_scale_seen *seen = &in->seen[metric];
  double request = request_of(in, m) * seen->measured;
  if (m->source == BT_SCALE_LUA)
    snprintf(buf, size, "%.60s says %g", m->name, seen->value);
  else if (m->source == BT_SCALE_QUERY)
    snprintf(buf, size, "%.60s is %g, target %g %s", m->name, seen->value, m->target, m->total ? "in all" : "per instance");
  else
    snprintf(buf, size, "%.60s is at %.0f%% of the request, target %g%%", m->name, request > 0 ? 100 * seen->value / request : 0, 100 * m->target);
}

/* The highest of what the metrics ask for. false: nothing may change by them; the reason is said. */
static bool propose(const struct bt_scale_in *in, struct bt_scale_out *out) {
  int missing = -1;
  for (size_t i = 0; i < in->spec->metrics.len; i++) {
    int n = ask(in, i);
    if (n == MISSING)
      missing = missing < 0 ? (int)i : missing;
    else if (n > out->wanted) {
      out->wanted = n;
      out->by = (int)i;
    }
  }
  if (missing < 0 || out->wanted > in->current)
    return out->wanted >= 0;
  const struct bt_scale_metric *m = &in->spec->metrics.items[missing];
  const char *why = in->seen[missing].missing;
  say(out, BT_SCALE_MISSING, "%.60s has no value: %.180s", m->name, why ? why : in->ready == 0 ? "no instance is ready" : "what was read is no number");
  return false;
}

/* ---- the past ---- */

static int64_t widest(const struct bt_autoscale *spec, bool moves) {
  const struct bt_scale_way *ways[] = {&spec->up, &spec->down};
  int64_t ms = 0;
  for (size_t w = 0; w < BT_COUNT(ways); w++) {
    ms = moves ? ms : BT_MAX(ms, ways[w]->window_ms);
    for (int i = 0; moves && i < ways[w]->nlimits; i++)
      ms = BT_MAX(ms, ways[w]->limits[i].period_ms);
  }
  return ms;
}

/* Forgets what is older than the window, and gives the part that now belongs to, made where there is none. */
static struct bt_scale_part *part_at(struct bt_scale_part *parts, int *n, int64_t window_ms, int64_t now_ms, bool *fresh) {
  int gone = 0;
  while (gone < *n && parts[gone].to_ms <= now_ms - window_ms)
    gone++;
  *n -= gone;
  memmove(parts, parts + gone, (size_t)*n * sizeof *parts);
  if (*n > 0 && (now_ms - parts[*n - 1].from_ms < window_ms / 16 || *n == BT_SCALE_PAST)) {
    parts[*n - 1].to_ms = now_ms;
    *fresh = false;
    return &parts[*n - 1];
  }
  *fresh = true;
  parts[*n] = (struct bt_scale_part){.from_ms = now_ms, .to_ms = now_ms};
  return &parts[(*n)++];
}

static void remember_asked(struct bt_scale_past *past, const struct bt_autoscale *spec, int n, int64_t now_ms) {
  bool fresh;
  struct bt_scale_part *part = part_at(past->asked, &past->nasked, widest(spec, false), now_ms, &fresh);
  part->low = fresh ? n : BT_MIN(part->low, n);
  part->high = fresh ? n : BT_MAX(part->high, n);
}

static void remember_move(struct bt_scale_past *past, const struct bt_autoscale *spec, int from, int to, int64_t now_ms) {
  if (from == to)
    return;
  bool fresh;
  struct bt_scale_part *part = part_at(past->moves, &past->nmoves, widest(spec, true), now_ms, &fresh);
  part->low += BT_MAX(0, from - to);
  part->high += BT_MAX(0, to - from);
}

void bt_scale_set(struct bt_scale_past *past, const struct bt_autoscale *spec, int from, int to, int64_t now_ms) {
  remember_asked(past, spec, to, now_ms);
  remember_move(past, spec, from, to, now_ms);
}

/* stabilizeRecommendationWithBehaviors of horizontal.go. */
static int steady(const struct bt_scale_in *in, const struct bt_scale_past *past, int wanted) {
  int low = wanted, high = wanted;
  for (int i = 0; i < past->nasked; i++) {
    const struct bt_scale_part *p = &past->asked[i];
    if (p->to_ms > in->now_ms - in->spec->up.window_ms)
      low = BT_MIN(low, p->low);
    if (p->to_ms > in->now_ms - in->spec->down.window_ms)
      high = BT_MAX(high, p->high);
  }
  return BT_MIN(BT_MAX(in->current, low), high);
}

/* ---- limits ---- */

/* How far one limit lets it go, from the number at the beginning of its period. */
static int reach(const struct bt_scale_in *in, const struct bt_scale_past *past, const struct bt_scale_limit *limit, bool up) {
  int begin = in->current;
  for (int i = 0; i < past->nmoves; i++)
    if (past->moves[i].to_ms > in->now_ms - limit->period_ms)
      begin += past->moves[i].low - past->moves[i].high;
  begin = BT_MAX(0, begin);
  if (!limit->percent)
    return up ? begin + limit->value : begin - limit->value;
  double share = limit->value / 100.0;
  return up ? (int)BT_MIN(ceil(begin * (1 + share) - 1e-9), 2.0 * BT_SCALE_MOST) : (int)floor(begin * (1 - share) + 1e-9);
}

static int limited(const struct bt_scale_in *in, const struct bt_scale_past *past, int wanted) {
  bool up = wanted > in->current;
  const struct bt_scale_way *way = up ? &in->spec->up : &in->spec->down;
  if (way->select == BT_SCALE_SELECT_DISABLED)
    return in->current;
  if (way->nlimits == 0)
    return wanted;
  bool widest_counts = way->select == BT_SCALE_SELECT_MAX;
  int best = reach(in, past, &way->limits[0], up);
  for (int i = 1; i < way->nlimits; i++) {
    int r = reach(in, past, &way->limits[i], up);
    best = (up == widest_counts) ? BT_MAX(best, r) : BT_MIN(best, r);
  }
  if (up && in->current == 0)
    best = BT_MAX(best, 1); /* twice nothing is nothing: what sleeps can be woken */
  return up ? BT_MIN(wanted, BT_MAX(best, in->current)) : BT_MAX(wanted, BT_MIN(best, in->current));
}

/* ---- a look ---- */

static void by_metrics(const struct bt_scale_in *in, struct bt_scale_past *past, struct bt_scale_out *out) {
  if (!propose(in, out)) {
    if (out->why != BT_SCALE_MISSING)
      say(out, BT_SCALE_STEADY, "no metric has a say at %d instance%s", in->current, in->current == 1 ? "" : "s");
    return;
  }
  char words[BT_SCALE_WORDS - 100];
  words_of(in, (size_t)out->by, words, sizeof words);
  remember_asked(past, in->spec, out->wanted, in->now_ms);
  int within_bounds = BT_MIN(BT_MAX(out->wanted, out->min), out->max);
  int n = steady(in, past, out->wanted);
  int clamped = BT_PLANT(SCALE_UNBOUND) ? n : BT_MIN(BT_MAX(n, out->min), out->max);
  out->replicas = clamped == in->current ? clamped : limited(in, past, clamped);
  if (out->wanted == in->current)
    say(out, BT_SCALE_STEADY, "%s", words);
  else if (out->replicas == within_bounds && within_bounds != out->wanted)
    say(out, BT_SCALE_BOUND, "%s; that asks for %d, and %s is %d", words, out->wanted, out->wanted > out->max ? "max" : "min", within_bounds);
  else if (out->replicas == out->wanted)
    say(out, BT_SCALE_CHANGED, "%s", words);
  else if (out->replicas == clamped)
    say(out, BT_SCALE_WAITING, "%s; that asks for %d, which waits for the stabilisation of %llds", words, out->wanted,
        (long long)((out->wanted > in->current ? in->spec->up : in->spec->down).window_ms / 1000));
  else
    say(out, BT_SCALE_LIMITED, "%s; that asks for %d, and the limits of going %s let it be %d", words, out->wanted, out->wanted > in->current ? "up" : "down",
        out->replicas);
}

void bt_scale_step(const struct bt_scale_in *in, struct bt_scale_past *past, struct bt_scale_out *out) {
  *out = (struct bt_scale_out){.replicas = in->current, .wanted = -1, .by = -1};
  bt_scale_bounds(in->spec, in->zones, in->wall_ms, &out->min, &out->max, &out->wake_ms);
  if (past->nasked == 0) /* after a start: what is was asked for just now */
    remember_asked(past, in->spec, in->current, in->now_ms);
  if (!BT_PLANT(SCALE_UNBOUND) && (in->current > out->max || in->current < out->min)) {
    bool over = in->current > out->max;
    out->replicas = over ? out->max : out->min;
    say(out, BT_SCALE_BOUND, "%s is %d now", over ? "max" : "min", out->replicas);
  } else if (in->spec->metrics.len == 0) {
    out->replicas = out->min;
    say(out, BT_SCALE_BOUND, "min is %d now", out->min);
  } else if (in->seen) {
    by_metrics(in, past, out);
  } else {
    say(out, BT_SCALE_STEADY, "nothing was measured yet");
  }
  remember_move(past, in->spec, in->current, out->replicas, in->now_ms);
}
