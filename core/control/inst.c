#include "config.h"

#include <stdlib.h>

#include "control/internal.h"

const struct ctl_seen ctl_nothing_seen;

struct ctl_seen *ctl_see(struct ctl_inst *inst) {
  if (!inst->seen)
    inst->seen = bt_new(struct ctl_seen);
  return inst->seen;
}

char *ctl_inst_key(const struct ctl_inst *inst) {
  const char *ns = inst->service->app->ns;
  size_t len = strlen(ns), n = strlen(inst->id) + 1;
  char *key = bt_calloc(1, len + 1 + n);
  memcpy(key, ns, len);
  key[len] = '/';
  memcpy(key + len + 1, inst->id, n);
  return key;
}

/* ---- the index ---- */

#define FIRST_ROOM 64

static size_t at(const struct ctl_index *index, uint32_t hash) { return hash & (index->room - 1); }

static void put(struct ctl_index *index, struct ctl_inst *inst, uint32_t hash) {
  size_t i = at(index, hash);
  while (index->items[i])
    i = (i + 1) & (index->room - 1);
  index->items[i] = inst;
  index->hashes[i] = hash;
}

static void grow(struct ctl_index *index) {
  struct ctl_index old = *index;
  index->room = old.room ? old.room * 2 : FIRST_ROOM;
  index->items = (struct ctl_inst **)bt_newn(void *, index->room);
  index->hashes = bt_newn(uint32_t, index->room);
  for (size_t i = 0; i < old.room; i++)
    if (old.items[i])
      put(index, old.items[i], old.hashes[i]);
  free((void *)old.items);
  free(old.hashes);
}

void ctl_index_add(struct ctl_index *index, struct ctl_inst *inst) {
  if (index->len + index->len / 3 >= index->room)
    grow(index);
  put(index, inst, bt_map_hash(inst->id, strlen(inst->id)));
  index->len++;
}

/* Where the id stands, or a free place. */
static size_t seek(const struct ctl_index *index, const char *id) {
  uint32_t hash = bt_map_hash(id, strlen(id));
  size_t i = at(index, hash);
  while (index->items[i] && (index->hashes[i] != hash || strcmp(index->items[i]->id, id) != 0))
    i = (i + 1) & (index->room - 1);
  return i;
}

/* What stands behind the gap and would be looked for before it moves into it. */
void ctl_index_drop(struct ctl_index *index, const struct ctl_inst *inst) {
  size_t mask = index->room - 1, gap = index->room ? seek(index, inst->id) : 0;
  if (!index->room || index->items[gap] != inst)
    return;
  for (size_t i = (gap + 1) & mask; index->items[i]; i = (i + 1) & mask)
    if (((i - at(index, index->hashes[i])) & mask) >= ((i - gap) & mask)) {
      index->items[gap] = index->items[i];
      index->hashes[gap] = index->hashes[i];
      gap = i;
    }
  index->items[gap] = NULL;
  index->len--;
}

void ctl_index_free(struct ctl_index *index) {
  free((void *)index->items);
  free(index->hashes);
  *index = (struct ctl_index){0};
}

struct ctl_inst *ctl_inst_find(const struct bt_control *c, const char *id) {
  return id && c->instances.room ? c->instances.items[seek(&c->instances, id)] : NULL;
}

size_t ctl_inst_count(const struct bt_control *c) { return c->instances.len; }

/* ---- all of them ---- */

struct ctl_insts ctl_insts(const struct bt_control *c) { return (struct ctl_insts){.apps_ = bt_map_iter(c->apps)}; }

bool ctl_insts_next(struct ctl_insts *it) {
  for (;;) {
    while (!it->app_ || it->service_ == it->app_->services.len) {
      if (!bt_map_next(&it->apps_))
        return false;
      it->app_ = it->apps_.value;
      it->service_ = it->inst_ = 0;
    }
    const struct ctl_service *service = it->app_->services.items[it->service_];
    if (it->inst_ < service->insts.len) {
      it->inst = service->insts.items[it->inst_++];
      return true;
    }
    it->service_++;
    it->inst_ = 0;
  }
}

/* ---- words ---- */

struct word {
  uint32_t refs;
  char text[];
};

static struct word *word_of(const char *text) { return (struct word *)(uintptr_t)(text - offsetof(struct word, text)); }

static void put_back(struct bt_control *c, const char *text) {
  struct word *word = word_of(text);
  if (--word->refs == 0)
    bt_map_del(c->words, text); /* frees it: the key is a copy */
}

static const char *take(struct bt_control *c, const char *text) {
  struct word *word = bt_map_get(c->words, text);
  if (!word) {
    size_t n = strlen(text) + 1;
    word = bt_calloc(1, sizeof *word + n);
    memcpy(word->text, text, n);
    bt_map_set(c->words, text, word);
  }
  word->refs++;
  return word->text;
}

void ctl_word_like(struct bt_control *c, const char **dst, const char *like, const char *text) {
  if (!*dst && like && text && strcmp(like, text) == 0) {
    word_of(like)->refs++;
    *dst = like;
  } else {
    ctl_word_set(c, dst, text);
  }
}

void ctl_word_set(struct bt_control *c, const char **dst, const char *text) {
  if (*dst == text || bt_streq(*dst, text))
    return;
  const char *old = *dst;
  *dst = text ? take(c, text) : NULL;
  if (old)
    put_back(c, old);
}
