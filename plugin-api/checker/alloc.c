#include "config.h"
#include "alloc.h"

#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer) && !__has_feature(memory_sanitizer)
#define INTERPOSE 1
#else
#define INTERPOSE 0
#endif

bool check_alloc_on(void) { return INTERPOSE; }

static _Thread_local bool in_plugin;

bool check_scope(bool plugin) {
  bool before = in_plugin;
  in_plugin = plugin;
  return before;
}

static struct check_alloc_live live;
static long refuse_at, seen;
static uintptr_t own_from, own_to;

static int find_object(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size;
  uintptr_t from = UINTPTR_MAX, to = 0, within = (uintptr_t)arg;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    if (p->p_type != PT_LOAD)
      continue;
    from = BT_MIN(from, info->dlpi_addr + p->p_vaddr);
    to = BT_MAX(to, info->dlpi_addr + p->p_vaddr + p->p_memsz);
  }
  if (within < from || within >= to)
    return 0;
  own_from = from;
  own_to = to;
  return 1;
}

void check_alloc_own(const void *within) { dl_iterate_phdr(find_object, (void *)(uintptr_t)within); }

#if INTERPOSE

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *p);

/* Live blocks of the plug-in's: open addressing over pages of our own, since this is under malloc. A key of 1 is a grave. */
struct block {
  uintptr_t key;
  size_t size;
};
static struct block *table;
static size_t room, used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static size_t place(const struct block *t, size_t cap, uintptr_t key) {
  size_t i = (size_t)((key >> 4) * 0x9e3779b97f4a7c15u) & (cap - 1);
  while (t[i].key && t[i].key != key)
    i = (i + 1) & (cap - 1);
  return i;
}

static bool grow(void) {
  size_t cap = live.blocks * 2 > room / 2 || !room ? (room ? room * 2 : 1 << 16) : room;
  struct block *fresh = mmap(NULL, cap * sizeof *fresh, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fresh == MAP_FAILED)
    return false;
  for (size_t i = 0; i < room; i++)
    if (table[i].key > 1)
      fresh[place(fresh, cap, table[i].key)] = table[i];
  if (table)
    munmap(table, room * sizeof *table);
  table = fresh;
  room = cap;
  used = live.blocks;
  return true;
}

static void remember(void *p, size_t size) {
  if (!p || !in_plugin)
    return;
  pthread_mutex_lock(&lock);
  if ((used + 1) * 2 <= room || grow()) {
    size_t i = place(table, room, (uintptr_t)p);
    table[i] = (struct block){(uintptr_t)p, size};
    used++;
    live.blocks++;
    live.bytes += size;
  }
  pthread_mutex_unlock(&lock);
}

static bool forget(void *p) {
  bool ours = false;
  if (!p || !__atomic_load_n(&live.blocks, __ATOMIC_RELAXED))
    return false;
  pthread_mutex_lock(&lock);
  size_t i = room ? place(table, room, (uintptr_t)p) : 0;
  if (room && table[i].key) {
    live.blocks--;
    live.bytes -= table[i].size;
    table[i].key = 1;
    ours = true;
  }
  pthread_mutex_unlock(&lock);
  return ours;
}

/* True where this allocation is the one to be refused. caller: who asks for it. Libraries below the plug-in are left alone: some do
 * not survive it (jansson, the C library's user database), and that is not the author's to mend. */
static bool refused(const void *caller) {
  if (!in_plugin || (uintptr_t)caller < own_from || (uintptr_t)caller >= own_to)
    return false;
  long n = __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED);
  if (n != __atomic_load_n(&refuse_at, __ATOMIC_RELAXED))
    return false;
  errno = ENOMEM;
  return true;
}

/* ---------------------------------------------------------------- the C library's names */

__attribute__((visibility("default"))) void *malloc(size_t size) {
  void *p = refused(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
  remember(p, size);
  return p;
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t size) {
  void *p = refused(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
  remember(p, n * size);
  return p;
}

__attribute__((visibility("default"))) void *realloc(void *old, size_t size) {
  if (refused(__builtin_return_address(0)))
    return NULL;
  bool ours = forget(old);
  void *p = __libc_realloc(old, size);
  bool before = in_plugin;
  in_plugin |= ours; /* whoever grows it: it stays the plug-in's */
  remember(p, size);
  in_plugin = before;
  return p;
}

__attribute__((visibility("default"))) void *memalign(size_t align, size_t size) {
  void *p = refused(__builtin_return_address(0)) ? NULL : __libc_memalign(align, size);
  remember(p, size);
  return p;
}

__attribute__((visibility("default"))) void *aligned_alloc(size_t align, size_t size) { return memalign(align, size); }

__attribute__((visibility("default"))) int posix_memalign(void **out, size_t align, size_t size) {
  void *p = memalign(align, size);
  if (!p)
    return ENOMEM;
  *out = p;
  return 0;
}

__attribute__((visibility("default"))) void free(void *p) {
  int saved = errno;
  forget(p);
  __libc_free(p);
  errno = saved;
}

#endif

struct check_alloc_live check_alloc_live(void) { return live; }

void check_alloc_refuse(long n) {
  __atomic_store_n(&seen, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&refuse_at, n, __ATOMIC_RELAXED);
}

long check_alloc_count(void) { return __atomic_load_n(&seen, __ATOMIC_RELAXED); }
