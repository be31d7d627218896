/* Capabilities by name, as sets of bits in the kernel's order. Pure. */
#ifndef RO_CAPS_H
#define RO_CAPS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { RO_CAPS = 41 };

const char *ro_cap_name(int bit);       /* "CAP_CHOWN"; NULL beyond RO_CAPS */
int ro_cap_bit(const char *name);       /* "CHOWN", "CAP_CHOWN", "cap_chown"; -1: there is none of that name */
uint64_t ro_caps_default(void);         /* what containers get that ask for nothing: Docker's fourteen */
/* The default with drop taken away and add put in; "ALL" stands for every one in allowed. What is asked for by name and not in allowed is an
 * error, as is a name that there is not: false with a sentence (the caller frees). add, drop: arrays of strings or NULL. */
bool ro_caps_tweak(const json_t *add, const json_t *drop, uint64_t allowed, uint64_t *out, char **why);
json_t *ro_caps_json(uint64_t caps);    /* ["CAP_CHOWN", …]; new reference */

#endif
