/* What this machine has of what containers need, in words: rows for berth doctor. Looking blocks (it asks the kernel, and nft where it is
 * installed) and changes nothing; judging is pure. Knows nothing of operations. */
#ifndef RO_DOCTOR_H
#define RO_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>

#include "spec/facts.h"
#include "storage.h"

struct ro_look {
  struct ro_facts facts;
  bool hybrid;        /* version 2 of control groups is mounted beside version 1 */
  int bridge_error;   /* errno of making a bridge in a network namespace of its own; 0: it can; -1: it could not be tried */
  char *nft;          /* chains of all tables as nft lists them; NULL: nft_why */
  char *nft_why;
  int forwards;       /* net.ipv4.ip_forward; -1: unknown */
  struct ro_storage storage; /* what the entry found when it was opened */
  bool remap;         /* the configuration maps containers' users */
};

/* programs: where ours are. Takes storage. */
void ro_doctor_look(struct ro_look *out, bool remap, const char *programs, struct ro_storage storage);
void ro_look_free(struct ro_look *l);

/* [{"element", "declared", "found", "verdict": "ok"|"warning"|"error", "mend" (where all is not well)}]; version: what the OCI runtime says to
 * --version. New reference. */
json_t *ro_doctor_judge(const struct ro_look *l, const char *version);

#endif
