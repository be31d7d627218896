/* The checker's own malloc: counts what the plug-in's code allocates and does not free, and refuses the n-th allocation when it is
 * told to. Whose an allocation is depends on who runs: the host marks where it steps into the plug-in's code and where that
 * steps back into the host (check_scope). Knows nothing of plug-ins otherwise.
 *
 * Where a sanitizer brings an allocator of its own, all of it is off: check_alloc_on() says so. */
#ifndef CHECK_ALLOC_H
#define CHECK_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

bool check_alloc_on(void);

/* Says whose code this thread runs from now on; returns what held before. Any thread. */
bool check_scope(bool plugin);

struct check_alloc_live {
  size_t blocks, bytes; /* allocated in the plug-in's code, not freed yet */
};
struct check_alloc_live check_alloc_live(void);

/* The plug-in's own object is the one that this address is in: only what it asks for itself is refused. */
void check_alloc_own(const void *within);
/* The n-th allocation of the plug-in's own object from now on gets NULL (0: none does). Counting starts anew. */
void check_alloc_refuse(long n);
long check_alloc_count(void); /* such allocations since then */

#endif
