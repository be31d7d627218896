#include "config.h"
#include "plan/quota.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/plant.h"

struct bt_quota {
  struct bt_map *spaces, *users;
};

static void space_free(void *arg) {
  struct bt_quota_space *space = arg;
  free(space->name);
  free(space);
}

struct bt_quota *bt_quota_new(void) {
  struct bt_quota *q = bt_new(struct bt_quota);
  q->spaces = bt_map_new(space_free);
  q->users = bt_map_new(free);
  return q;
}

void bt_quota_free(struct bt_quota **quota) {
  if (!*quota)
    return;
  bt_map_free(&(*quota)->users);
  bt_map_free(&(*quota)->spaces);
  free(*quota);
  *quota = NULL;
}

const struct bt_map *bt_quota_spaces(const struct bt_quota *q) { return q->spaces; }
struct bt_quota_space *bt_quota_space(const struct bt_quota *q, const char *name) { return bt_map_get(q->spaces, name); }

/* ---- amounts ---- */

void bt_quota_add(struct bt_quota_amounts *a, const struct bt_quota_amounts *b, int64_t times) {
  for (int d = 0; d < BT_QUOTA_DIMS; d++) {
    bt_quota_sum sum = a->n[d] + (bt_quota_sum)b->n[d] * times;
    a->n[d] = bt_quota_int(sum);
  }
}

void bt_quota_most(struct bt_quota_amounts *a, const struct bt_quota_amounts *b) {
  for (int d = 0; d < BT_QUOTA_DIMS; d++)
    a->n[d] = BT_MAX(a->n[d], b->n[d]);
}

int64_t bt_quota_int(bt_quota_sum sum) { return sum > INT64_MAX ? INT64_MAX : sum < INT64_MIN ? INT64_MIN : (int64_t)sum; }

/* Exact where it is short, else rounded: people compare it with what they wrote. */
static void memory_words(int64_t n, char buf[64]) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t u = 0;
  double v = (double)n;
  for (; u + 1 < BT_COUNT(units) && (v >= 1024 || v <= -1024); u++)
    v /= 1024;
  snprintf(buf, 64, "%.*f %s of memory", v - (double)(int64_t)v > 0.005 || v - (double)(int64_t)v < -0.005 ? 2 : 0, v, units[u]);
}

char *bt_quota_words(enum bt_quota_dim dim, int64_t n, char buf[64]) {
  const char *name = bt_quota_name(dim);
  if (dim == BT_QUOTA_MEMORY)
    memory_words(n, buf);
  else if (dim == BT_QUOTA_CPUS)
    snprintf(buf, 64, "%.15g cpu%s", (double)n / 1000, n == 1000 ? "" : "s");
  else
    snprintf(buf, 64, "%" PRId64 " %.*s", n, (int)strlen(name) - (n == 1), name);
  return buf;
}

/* ---- namespaces ---- */

static struct bt_quota_space *space_get(struct bt_quota *q, const char *name) {
  struct bt_quota_space *space = bt_map_get(q->spaces, name);
  if (space)
    return space;
  space = bt_new(struct bt_quota_space);
  space->name = bt_strdup(name);
  for (int d = 0; d < BT_QUOTA_DIMS; d++)
    space->limit[d] = BT_QUOTA_NO_LIMIT;
  bt_map_set(q->spaces, name, space);
  return space;
}

static void space_drop(struct bt_quota *q, struct bt_quota_space *space) {
  if (space->users == 0 && !space->ruled)
    bt_map_del(q->spaces, space->name);
}

bool bt_quota_within(const struct bt_quota_space *space, const struct bt_quota_space *above) {
  for (; space; space = space->parent)
    if (space == above)
      return true;
  return false;
}

static bt_quota_sum used_of(const struct bt_quota_user *user, int d) { return BT_MAX((bt_quota_sum)user->claim.n[d], user->held[d]); }

static void sum_up(const struct bt_quota_user *user) {
  for (struct bt_quota_space *s = user->space; s; s = s->parent)
    for (int d = 0; d < BT_QUOTA_DIMS; d++) {
      s->used[d] += used_of(user, d);
      s->held[d] += user->held[d];
      s->claimed[d] += user->claim.n[d];
    }
}

static int check_rules(const struct bt_quota_rule *rules, size_t n, struct bt_err **err) {
  BT_AUTO_MAP parents = bt_map_new(NULL);
  for (size_t i = 0; i < n; i++)
    bt_map_set(parents, rules[i].name, (void *)(uintptr_t)&rules[i]);
  for (size_t i = 0; i < n; i++) {
    const struct bt_quota_rule *at = &rules[i];
    for (int level = 0; at->parent; level++) {
      const struct bt_quota_rule *up = bt_map_get(parents, at->parent);
      if (!up)
        return bt_err_set(err, BT_INVALID, "namespace %s has the parent %s, which is not among the namespaces", at->name, at->parent);
      if (level + 1 >= BT_NAMESPACES_DEEPEST)
        return bt_err_set(err, BT_INVALID, "the parents of namespace %s go in a circle, or deeper than %d levels", rules[i].name, BT_NAMESPACES_DEEPEST);
      at = up;
    }
  }
  return 0;
}

static void unrule(struct bt_quota *q) {
  for (struct bt_map_iter it = bt_map_iter(q->spaces); bt_map_next(&it);) {
    struct bt_quota_space *s = it.value;
    s->parent = NULL;
    s->ruled = false;
    for (int d = 0; d < BT_QUOTA_DIMS; d++) {
      s->limit[d] = BT_QUOTA_NO_LIMIT;
      s->used[d] = s->held[d] = s->claimed[d] = 0;
    }
  }
}

int bt_quota_rules(struct bt_quota *q, const struct bt_quota_rule *rules, size_t n, struct bt_err **err) {
  if (check_rules(rules, n, err))
    return -1;
  unrule(q);
  for (size_t i = 0; i < n; i++) {
    struct bt_quota_space *s = space_get(q, rules[i].name);
    s->ruled = true;
    memcpy(s->limit, rules[i].limit, sizeof s->limit);
  }
  for (size_t i = 0; i < n; i++)
    if (rules[i].parent)
      bt_quota_space(q, rules[i].name)->parent = bt_quota_space(q, rules[i].parent);
  for (struct bt_map_iter it = bt_map_iter(q->spaces); bt_map_next(&it);)
    space_drop(q, it.value);
  for (struct bt_map_iter it = bt_map_iter(q->users); bt_map_next(&it);)
    sum_up(it.value);
  return 0;
}

/* ---- apps ---- */

struct bt_quota_user *bt_quota_user(struct bt_quota *q, const char *ns, const char *app) {
  BT_AUTO_FREE char *key = bt_asprintf("%s/%s", ns, app);
  struct bt_quota_user *user = bt_map_get(q->users, key);
  if (user)
    return user;
  user = bt_new(struct bt_quota_user);
  user->space = space_get(q, ns);
  user->space->users++;
  bt_map_set(q->users, key, user);
  return user;
}

bool bt_quota_user_drop(struct bt_quota *q, const char *ns, const char *app) {
  BT_AUTO_FREE char *key = bt_asprintf("%s/%s", ns, app);
  struct bt_quota_user *user = bt_map_get(q->users, key);
  for (int d = 0; user && d < BT_QUOTA_DIMS; d++)
    if (user->claim.n[d] || user->held[d])
      return false;
  if (!user)
    return true;
  user->space->users--;
  space_drop(q, user->space);
  bt_map_del(q->users, key);
  return true;
}

static bool refuse(struct bt_quota_no *no, const struct bt_quota_space *space, int d, bt_quota_sum used, bt_quota_sum asked) {
  if (no)
    *no = (struct bt_quota_no){space, (enum bt_quota_dim)d, space->limit[d], bt_quota_int(used), bt_quota_int(asked)};
  return false;
}

bool bt_quota_may_claim(const struct bt_quota_user *user, const struct bt_quota_amounts *claim, struct bt_quota_no *no) {
  for (const struct bt_quota_space *s = user->space; s; s = s->parent)
    for (int d = 0; d < BT_QUOTA_DIMS; d++) {
      bt_quota_sum more = BT_MAX((bt_quota_sum)claim->n[d], user->held[d]) - used_of(user, d), asked = (bt_quota_sum)claim->n[d] - user->claim.n[d];
      if (s->limit[d] >= 0 && more > 0 && s->used[d] + more > s->limit[d])
        return refuse(no, s, d, s->used[d], more);
      if (s->limit[d] >= 0 && asked > 0 && s->claimed[d] + asked > s->limit[d]) /* what it holds on top for a while is no claim */
        return refuse(no, s, d, s->used[d], asked);
    }
  return true;
}

void bt_quota_claim(struct bt_quota_user *user, const struct bt_quota_amounts *claim) {
  for (int d = 0; d < BT_QUOTA_DIMS; d++) {
    bt_quota_sum before = used_of(user, d), asked = (bt_quota_sum)claim->n[d] - user->claim.n[d];
    user->claim.n[d] = claim->n[d];
    bt_quota_sum more = used_of(user, d) - before;
    for (struct bt_quota_space *s = user->space; s && asked; s = s->parent) {
      s->used[d] += more;
      s->claimed[d] += asked;
    }
  }
}

/* Both what is held and what is used stay within the limits; the second is the first in the ordinary case, and more where others
 * claim what they do not hold yet. */
bool bt_quota_may_hold(const struct bt_quota_user *user, const struct bt_quota_amounts *more, struct bt_quota_no *no) {
  for (const struct bt_quota_space *s = user->space; s; s = BT_PLANT(QUOTA_ALONE) ? NULL : s->parent)
    for (int d = 0; d < BT_QUOTA_DIMS; d++) {
      if (s->limit[d] < 0 || more->n[d] <= 0)
        continue;
      bt_quota_sum grown = BT_MAX((bt_quota_sum)user->claim.n[d], user->held[d] + more->n[d]) - used_of(user, d);
      if (s->held[d] + more->n[d] > s->limit[d])
        return refuse(no, s, d, s->held[d], more->n[d]);
      if (grown > 0 && s->used[d] + grown > s->limit[d])
        return refuse(no, s, d, s->used[d], grown);
    }
  return true;
}

static void change(struct bt_quota_user *user, const struct bt_quota_amounts *by, int sign) {
  for (int d = 0; d < BT_QUOTA_DIMS; d++) {
    if (!by->n[d])
      continue;
    bt_quota_sum before = used_of(user, d), more = (bt_quota_sum)by->n[d] * sign;
    user->held[d] += more;
    bt_quota_sum grown = used_of(user, d) - before;
    for (struct bt_quota_space *s = user->space; s; s = s->parent) {
      s->held[d] += more;
      s->used[d] += grown;
    }
  }
}

void bt_quota_hold(struct bt_quota_user *user, const struct bt_quota_amounts *more) { change(user, more, 1); }
void bt_quota_release(struct bt_quota_user *user, const struct bt_quota_amounts *less) { change(user, less, -1); }

bool bt_quota_over(const struct bt_quota_user *user, struct bt_quota_no *no) {
  for (const struct bt_quota_space *s = user->space; s; s = s->parent)
    for (int d = 0; d < BT_QUOTA_DIMS; d++)
      if (s->limit[d] >= 0 && s->held[d] > s->limit[d] && user->held[d] > 0) {
        refuse(no, s, d, s->held[d], 0);
        return true;
      }
  return false;
}
