/* What HAProxy says on its runtime socket: statistics as CSV, the state of servers, its own facts, its processes. It is another
 * program's output: read with bounds, column by name, lines that make no sense left out. Pure. */
#ifndef LBH_STAT_H
#define LBH_STAT_H

#include "servers.h"

/* Of "show stat": one frontend, backend or server. */
struct lbh_row {
  char *proxy, *server;  /* server: "FRONTEND", "BACKEND" or a name */
  uint64_t sessions, requests, open, queued, bytes_in, bytes_out, denied, errors, answers_5xx, rate;
};

struct lbh_rows {
  struct lbh_row *items;
  size_t len, cap;
};

/* False where the text is no such table. At most 100,000 rows are kept. */
bool lbh_stat_parse(const char *csv, struct lbh_rows *out);
/* By proxy, then server. */
void lbh_rows_sort(struct lbh_rows *rows);
/* The rows of a proxy among those that are sorted; *n 0: there are none. */
const struct lbh_row *lbh_rows_of(const struct lbh_rows *sorted, const char *proxy, size_t *n);
void lbh_rows_free(struct lbh_rows *rows);

/* Of "show servers state": adds every server to its backend. False where the text is none of version 1. */
bool lbh_servers_parse(const char *text, struct lbh_table *out);

/* Of "show info": the value of "NAME: value", or NULL; the caller frees. */
char *lbh_info(const char *text, const char *name);

/* Of the master's "show proc": the master's pid (0: none), the present worker's, and those of workers that finish what they have;
 * at most room of them. Returns how many. */
size_t lbh_proc_parse(const char *text, int *master, int *worker, int *old, size_t room);

#endif
