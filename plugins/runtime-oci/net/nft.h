/* Runs commands of nft through libnftables, each text one transaction of the kernel's: all of it holds or nothing. The library is
 * loaded when it is first needed (a machine may be without it as long as it has no networks). All of it blocks, a tenth of a
 * millisecond as a rule: for workers. One thread at a time. Knows the name of Berth's table and nothing of what is in it. */
#ifndef RO_NET_NFT_H
#define RO_NET_NFT_H

#include <stdbool.h>

#include "why.h"

struct ro_nft;

/* For the network namespace of the calling thread. NULL with why where the library or the right to use it is missing. */
struct ro_nft *ro_nft_open(struct ro_why *why);
void ro_nft_close(struct ro_nft **nft);
/* 0, or -1 with nft's own first line. */
int ro_nft_run(struct ro_nft *nft, const char *commands, struct ro_why *why);
/* What a listing command prints, at most 4 MiB; the caller frees. NULL with why. */
char *ro_nft_ask(struct ro_nft *nft, const char *command, struct ro_why *why);

/* Is the table as the last ro_nft_mark left it? Another program's
 * `flush ruleset` removes it, and one that is flushed and filled again has other rules. */
bool ro_nft_intact(struct ro_nft *nft);
/* Has nobody changed anything since, in any table? */
bool ro_nft_still(struct ro_nft *nft);
void ro_nft_mark(struct ro_nft *nft);

#endif
