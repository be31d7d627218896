/* Automatic collection of images: the host asks now and then and tells which images apps name; a worker looks whether room is short, and only
 * then (or when left-overs are due) a berth-image process removes what is least recently used. What went is an event. */
#include "config.h"
#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "image/choice.h"
#include "image/store.h"
#include "run.h"

enum { sweep_every_ms = 60 * 60 * 1000 };

struct collect {
  struct ro_op op;
  json_t *pins;
  struct ro_run *run;
  bool disk; /* the file system is what is full, not the store too large */
};

/* What the worker finds. */
struct room {
  char *root;
  json_t *keep, *pins;
  int high, low;
  int64_t max_bytes, before_ms;
  int64_t excess, over; /* bytes that the file system has too many, and the store */
  bool may;             /* some image can go */
  char *why;
};

static void room_free(void *data) {
  struct room *r = data;
  free(r->root);
  free(r->why);
  json_decref(r->keep);
  json_decref(r->pins);
  free(r);
}

static void room_look(void *data) {
  struct room *r = data;
  RI_AUTO_WHY why = {0};
  struct statvfs v;
  struct ri_glance glance;
  PU_AUTO_FREE path = pu_asprintf("%s/images", r->root);
  if (statvfs(path, &v) == 0)
    r->excess = ri_choice_excess((uint64_t)(v.f_blocks - v.f_bfree) * v.f_frsize, (uint64_t)v.f_bavail * v.f_frsize, r->high, r->low);
  else if (errno != ENOENT)
    r->why = pu_asprintf("%s: %s", path, strerror(errno));
  if (!r->why && !ri_store_glance(r->root, r->keep, r->pins, r->before_ms, r->max_bytes > 0, &glance, &why))
    r->why = pu_strdup(why.text);
  if (r->why)
    return;
  r->over = r->max_bytes > 0 && glance.bytes > r->max_bytes ? glance.bytes - r->max_bytes : 0;
  r->may = glance.may;
}

static void collect_drop(struct ro_op *op) {
  struct collect *c = (struct collect *)op;
  ro_run_forget(c->run);
  json_decref(c->pins);
}

static void size_words(int64_t bytes, char out[32]) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double n = (double)bytes;
  size_t u = 0;
  for (; n >= 1024 && u + 1 < PU_COUNT(units); u++)
    n /= 1024;
  snprintf(out, 32, u ? "%.1f %s" : "%.0f %s", n, units[u]);
}

static void tell(struct berth_instance *self, const char *type, const char *severity, const char *text, const json_t *data) {
  ro_log(self, pu_eq(severity, "info") ? BERTH_LOG_INFO : BERTH_LOG_WARN, "images: %s", text);
  PU_AUTO_FREE json = pu_json_text(data);
  if (self->events)
    self->events->publish(self->host, type, severity, text, strlen(json) < 16000 ? json : NULL);
}

static void tell_removed(struct collect *c, const json_t *result) {
  int64_t images = pu_int(result, "images", 0);
  char freed[32];
  size_words(pu_int(result, "freed", 0), freed);
  PU_AUTO_FREE text = pu_asprintf("%lld image%s that nothing needs went, %s freed: %s", (long long)images, images == 1 ? "" : "s", freed,
                                  c->disk ? "the file system of the image store was too full" : "the image store was over image_gc_max_size");
  PU_AUTO_JSON data = json_pack("{s:O, s:I}", "removed", pu_arr(result, "removed"), "freed", (json_int_t)pu_int(result, "freed", 0));
  tell(c->op.self, "images-collected", "info", text, data);
}

/* Said once, until there is room again. */
static void tell_short(struct berth_instance *self, int64_t bytes, bool disk) {
  char text[32];
  if (!bytes || self->image_room_short) {
    self->image_room_short = bytes > 0;
    return;
  }
  self->image_room_short = true;
  size_words(bytes, text);
  PU_AUTO_FREE words = disk ? pu_asprintf("the file system of the image store is over its mark by %s, and every image left is needed or too young to go: make room there, or remove apps", text)
                            : pu_asprintf("the image store is over image_gc_max_size by %s, and every image left is needed or too young to go: raise it, or remove apps", text);
  PU_AUTO_JSON data = json_pack("{s:I}", "short", (json_int_t)bytes);
  tell(self, "images-short", "warning", words, data);
}

static void collected(struct ro_op *op, const json_t *result, enum berth_code code, const char *why) {
  struct collect *c = (struct collect *)op;
  c->run = NULL;
  if (!result) {
    ro_op_fail(op, code, "%s: %s", op->subject, why);
    return;
  }
  if (pu_int(result, "images", 0) > 0)
    tell_removed(c, result);
  tell_short(op->self, pu_int(result, "short", 0), c->disk);
  ro_op_done(op, json_deep_copy(result));
}

static void looked(struct ro_op *op, void *data) {
  struct collect *c = (struct collect *)op;
  struct berth_instance *self = op->self;
  const struct room *r = data;
  int64_t most = r->excess > r->over ? r->excess : r->over;
  bool full = most > 0, due = self->timer->mono_ms(self->host) >= self->image_sweep_ms;
  if (r->why) {
    ro_op_fail(op, BERTH_IO, "%s: %s", op->subject, r->why);
    return;
  }
  if (!full)
    tell_short(self, 0, false);
  if (!due && !(full && r->may)) {
    if (full)
      tell_short(self, most, r->excess > 0);
    ro_op_done(op, json_pack("{s:[], s:i, s:i, s:I}", "removed", "images", 0, "freed", 0, "short", (json_int_t)most));
    return;
  }
  self->image_sweep_ms = self->timer->mono_ms(self->host) + sweep_every_ms;
  c->disk = r->excess > 0;
  c->run = ro_run_start(op, "collect", json_pack("{s:s, s:O, s:O, s:I, s:I, s:I, s:I}", "root", self->config.root, "keep", r->keep, "pins", c->pins, "excess",
                                                 (json_int_t)r->excess, "max_bytes", (json_int_t)r->max_bytes, "before_ms", (json_int_t)r->before_ms, "loose_ms",
                                                 (json_int_t)self->config.gc_partial_age_ms), collected);
}

static void collect_ready(struct ro_op *op) {
  struct collect *c = (struct collect *)op;
  const struct ro_config *config = &op->self->config;
  struct room *r = pu_new(struct room);
  *r = (struct room){.root = pu_strdup(config->root), .keep = ro_images_used(op->self), .pins = json_incref(c->pins), .high = config->gc_high, .low = config->gc_low,
                     .max_bytes = config->gc_max_size, .before_ms = ro_now_ms(op->self) - config->gc_min_age_ms};
  ro_job_run(op, r, room_look, looked, room_free);
}

void ro_image_collect(struct berth_instance *self, berth_op id, const struct berth_runtime_collect *r) {
  struct collect *c = ro_op_new(self, id, sizeof *c, collect_drop, "collection of images");
  c->pins = r->keep_json ? pu_json_parse(r->keep_json, strlen(r->keep_json)) : NULL;
  if (!json_is_array(c->pins)) {
    ro_op_fail(&c->op, BERTH_INVALID, "%s: the images that must stay are not said", c->op.subject);
    return;
  }
  ro_op_ready(&c->op, collect_ready);
}
