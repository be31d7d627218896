/* Which servers stand in which backend: what should be (of the state), what is (in the running HAProxy), and the runtime commands
 * from one to the other. Pure. */
#ifndef LBH_SERVERS_H
#define LBH_SERVERS_H

#include "state.h"

enum { LBH_MAX_WEIGHT = 256 };

struct lbh_server {
  char *name, *address;
  int port, weight; /* weight of HAProxy: 0 to 256 */
  bool ready;       /* else in maintenance: it drains, or waits to be deleted */
  bool lingers;     /* it could not be deleted yet, since it has connections: not to be asked again for now */
};

struct lbh_backend {
  char *name;
  struct lbh_server *items; /* in order of their names */
  size_t len, cap;
};

struct lbh_table {
  struct lbh_backend *items; /* in order of their names */
  size_t len, cap;
};

void lbh_table_free(struct lbh_table *table);
struct lbh_backend *lbh_table_find(const struct lbh_table *table, const char *backend);
struct lbh_server *lbh_backend_find(const struct lbh_backend *backend, const char *server);
struct lbh_backend *lbh_table_add(struct lbh_table *table, const char *backend);     /* what is there is given back */
struct lbh_server *lbh_backend_add(struct lbh_backend *backend, const char *server); /* the same */
void lbh_backend_append(struct lbh_backend *backend, struct lbh_server server_steal); /* out of order: to be sorted */
void lbh_backend_sort(struct lbh_backend *backend);

/* The servers that the state asks for, of routes that are not refused. Weights share a route among its pools as its targets say. */
void lbh_table_want(const struct lbh_state *state, struct lbh_table *out);

enum lbh_step { LBH_ADD, LBH_ADDRESS, LBH_WEIGHT, LBH_READY, LBH_MAINT, LBH_DELETE };

/* One change of one server: a runtime command, or two that belong together, joined by ";". */
struct lbh_command {
  enum lbh_step step;
  char *backend, *server;
  struct lbh_server to; /* texts borrowed from the wanted table; zeros where it is to be deleted */
  char *text;
};

struct lbh_commands {
  struct lbh_command *items;
  size_t len, cap;
};

/* The words of a server's line in HAProxy's configuration behind its address, but for its weight: how the route's endpoints are
 * spoken to. The caller frees. */
char *lbh_server_words(const struct lbh_route *route);

/* From is to want: who comes first, then who goes, so that no backend is left without servers in between. Only backends that are in
 * both: the others need another configuration. */
void lbh_commands_make(const struct lbh_table *is, const struct lbh_table *want, const struct lbh_state *state, struct lbh_commands *out);
void lbh_commands_free(struct lbh_commands *commands);
/* Notes in the table what a command did. */
void lbh_command_done(struct lbh_table *is, const struct lbh_command *command);

#endif
