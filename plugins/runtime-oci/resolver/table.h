/* uthash for the resolver's tables, with a keyed hash (SipHash, under a key drawn once per process): what containers ask for, and what
 * servers elsewhere answer, must not be able to make them slow. Out of memory aborts. */
#ifndef RS_TABLE_H
#define RS_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Differs from process to process. */
uint32_t rs_hash(const void *p, size_t n);

#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = rs_hash((keyptr), (keylen)))
#define uthash_fatal(msg) abort()
#include <uthash.h>

#endif
