#include "config.h"
#include "base/map.h"

#include <sodium.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

/* SipHash-2-4 under a key drawn once per process. */
static unsigned char hash_key[crypto_shorthash_KEYBYTES];

uint32_t bt_map_hash(const void *p, size_t n) {
  unsigned char out[crypto_shorthash_BYTES];
  crypto_shorthash(out, p, n, hash_key);
  uint32_t v;
  memcpy(&v, out, sizeof v);
  return v;
}

#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = bt_map_hash((keyptr), (keylen)))
#define uthash_fatal(msg) abort()
#include <uthash.h>

struct entry {
  UT_hash_handle hh;
  void *value;
  char key[];
};

struct bt_map {
  struct entry *head;
  void (*free_value)(void *);
};

__attribute__((constructor)) static void map_init(void) {
  if (sodium_init() < 0)
    abort();
  randombytes_buf(hash_key, sizeof hash_key);
}

struct bt_map *bt_map_new(void (*free_value)(void *)) {
  struct bt_map *map = bt_new(struct bt_map);
  map->free_value = free_value;
  return map;
}

static struct entry *find(const struct bt_map *map, const char *key) {
  struct entry *e = NULL;
  if (map && key)
    HASH_FIND_STR(map->head, key, e);
  return e;
}

static void *unlink_entry(struct bt_map *map, struct entry *e) {
  void *value = e->value;
  HASH_DEL(map->head, e);
  free(e);
  return value;
}

void bt_map_free(struct bt_map **map) {
  if (!map || !*map)
    return;
  struct bt_map *m = bt_steal(*map);
  struct entry *e, *next;
  HASH_ITER(hh, m->head, e, next) {
    void *value = unlink_entry(m, e);
    if (m->free_value && value)
      m->free_value(value);
  }
  free(m);
}

void *bt_map_get(const struct bt_map *map, const char *key) {
  struct entry *e = find(map, key);
  return e ? e->value : NULL;
}

void bt_map_set(struct bt_map *map, const char *key, void *value) {
  struct entry *e = find(map, key);
  if (e) {
    if (map->free_value && e->value && e->value != value)
      map->free_value(e->value);
    e->value = value;
    return;
  }
  size_t n = strlen(key);
  e = bt_calloc(1, sizeof *e + n + 1);
  memcpy(e->key, key, n + 1);
  e->value = value;
  HASH_ADD_KEYPTR(hh, map->head, e->key, n, e);
}

void *bt_map_take(struct bt_map *map, const char *key) {
  struct entry *e = find(map, key);
  return e ? unlink_entry(map, e) : NULL;
}

bool bt_map_del(struct bt_map *map, const char *key) {
  struct entry *e = find(map, key);
  if (!e)
    return false;
  void *value = unlink_entry(map, e);
  if (map->free_value && value)
    map->free_value(value);
  return true;
}

size_t bt_map_len(const struct bt_map *map) { return map ? HASH_COUNT(map->head) : 0; }

struct bt_map_iter bt_map_iter(const struct bt_map *map) {
  return (struct bt_map_iter){.next_ = map ? map->head : NULL};
}

bool bt_map_next(struct bt_map_iter *it) {
  struct entry *e = it->next_;
  if (!e)
    return false;
  it->key = e->key;
  it->value = e->value;
  it->next_ = e->hh.next;
  return true;
}
