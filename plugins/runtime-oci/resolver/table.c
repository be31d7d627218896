#include "config.h"
#include "table.h"

#include <sodium.h>
#include <string.h>
#include <sys/random.h>

static unsigned char hash_key[crypto_shorthash_KEYBYTES];

__attribute__((constructor)) static void draw(void) {
  if (getrandom(hash_key, sizeof hash_key, 0) != sizeof hash_key)
    abort();
}

uint32_t rs_hash(const void *p, size_t n) {
  unsigned char out[crypto_shorthash_BYTES];
  uint32_t v;
  crypto_shorthash(out, p, n, hash_key);
  memcpy(&v, out, sizeof v);
  return v;
}
