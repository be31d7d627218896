/* The helper's side of the conversation: what the server sends, in order. */
#ifndef BT_PLUGIN_HELPER_SESSION_H
#define BT_PLUGIN_HELPER_SESSION_H

#include <stddef.h>

/* Makes the loop, the pool and the link over these descriptors. */
void session_open(int in, int out, size_t max_waiting, int workers);
/* Writes what is left, for a second at most, and ends. */
void session_close(void);

#endif
