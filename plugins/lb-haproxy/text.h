/* HAProxy's configuration as text, out of the state: global section, listeners, one backend a route. Pure. Which route each line is of is
 * remembered, so that what HAProxy says of a line can be told of the route. */
#ifndef LBH_TEXT_H
#define LBH_TEXT_H

#include "servers.h"
#include "settings.h"

struct lbh_text {
  char *text;       /* the whole configuration */
  char *list;       /* the certificates for those who speak TLS to the shared ports: a "crt-list" */
  char *hash;       /* of all but the servers: the same hash, no reload */
  size_t nlisteners;
  int *owners;      /* by line, from 1: index of its route in the state, -1 none */
  size_t nlines;
};

/* Where text.c finds the files that the configuration names, all under the settings' dir. The caller frees. */
char *lbh_certificate_path(const struct lbh_settings *settings, const char *name);
char *lbh_list_path(const struct lbh_settings *settings);
char *lbh_page_path(const struct lbh_settings *settings, const struct lbh_route *route);

/* Routes that are refused are left out. want: the servers as of lbh_table_want. user: whom the worker runs as; NULL: whoever we are. */
void lbh_text_make(const struct lbh_settings *settings, const struct lbh_state *state, const struct lbh_table *want, const char *user,
                   struct lbh_text *out);
void lbh_text_free(struct lbh_text *text);

/* What "haproxy -c" said (or a reload), as one sentence, and the route whose line or certificate it speaks of; -1: of none. The caller
 * frees the sentence. file: the configuration's path as HAProxy was told. */
char *lbh_text_blame(const struct lbh_settings *settings, const struct lbh_state *state, const struct lbh_text *text, const char *file,
                     const char *said, int *route);

/* The addresses ("*:80") that it listens on, with the route that wants it; -1: several. False after the last. */
bool lbh_text_listener(const struct lbh_settings *settings, const struct lbh_state *state, size_t i, char **listen, int *route);

#endif
