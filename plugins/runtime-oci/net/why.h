/* Why something of the network did not work: one of the plug-in contract's codes and a sentence that names the thing, the place and
 * the mend. Without a heap, since the monitor uses it as well. Knows nothing of networks. */
#ifndef RO_NET_WHY_H
#define RO_NET_WHY_H

#include <berth/plugin.h>

struct ro_why {
  enum berth_code code; /* BERTH_OK as long as nothing is wrong */
  char text[400];       /* cut where longer */
};

/* Sets the code and the sentence and returns -1. why may be NULL. */
int ro_why_set(struct ro_why *why, enum berth_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The code of the contract that an errno of the kernel stands for. */
enum berth_code ro_why_code(int errnum);

#endif
