/* Why something failed: a code of berth/plugin.h and a sentence for a person that names the thing and the mend. The first reason
 * counts; what comes on the way up is put in front of it. Knows nothing of images. */
#ifndef RI_IMAGE_WHY_H
#define RI_IMAGE_WHY_H

#include <berth/plugin.h>

struct ri_why {
  enum berth_code code;
  char *text; /* NULL: nothing failed */
};

/* Keeps the sentence unless there is one already. Returns -1, to be returned. */
int ri_why_set(struct ri_why *why, enum berth_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same for an errno: ": No such file or directory" is put behind it, and a full disk gets its own code and mend. */
int ri_why_errno(struct ri_why *why, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts "what: " in front. Returns -1. */
int ri_why_wrap(struct ri_why *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ri_why_free(struct ri_why *why);
#define RI_AUTO_WHY __attribute__((cleanup(ri_why_free))) struct ri_why

/* "exhausted" and back; BERTH_INTERNAL for what is no code. */
const char *ri_code_name(enum berth_code code);
enum berth_code ri_code_named(const char *name);

#endif
