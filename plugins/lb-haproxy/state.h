/* What the host wants: routes, pools, endpoints, certificates, read from the JSON of berth/lb.h and kept up to date by its changes.
 * Knows nothing of HAProxy but the names that its configuration can bear. */
#ifndef LBH_STATE_H
#define LBH_STATE_H

#include "../common/util.h"

struct lbh_endpoint {
  char *id, *address;
  int port, weight;
  bool drain;
};

struct lbh_pool {
  char *id;
  struct lbh_endpoint *items;
  size_t len, cap;
};

struct lbh_target {
  char *pool;
  int weight;
};

struct lbh_route {
  char *id, *backend; /* backend: its name in HAProxy */
  json_t *json;
  bool tcp;
  int port;           /* tcp */
  struct lbh_target *targets;
  size_t ntargets;
  const char *certificate; /* borrowed from json; NULL: plain */
  char *refused;           /* why it is left out; NULL: it is not */
};

struct lbh_certificate {
  char *name, *pem; /* pem NULL: it could not be had */
};

struct lbh_state {
  long long revision;
  struct lbh_route *routes; /* in order of their ids */
  size_t nroutes;
  struct lbh_pool *pools;
  size_t npools;
  struct lbh_certificate *certificates;
  size_t ncertificates;
};

/* False, with a sentence that the caller frees, where it is not what berth/lb.h says. */
bool lbh_state_read(const char *text, struct lbh_state *out, char **why);
void lbh_state_free(struct lbh_state *state); /* wipes certificates; an empty one is fine */

struct lbh_pool *lbh_state_pool(const struct lbh_state *state, const char *id); /* NULL where there is none */
const struct lbh_certificate *lbh_state_certificate(const struct lbh_state *state, const char *name);

/* The changes of an update. False with a sentence: a pool is not known (*unknown), or it is not what berth/lb.h says. What came before
 * the bad change is done. */
bool lbh_state_change(struct lbh_state *state, const char *text, bool *unknown, char **why);
/* Sets the endpoint to "drain" wherever it is. False: it is nowhere. */
bool lbh_state_drain(struct lbh_state *state, const char *endpoint);

#endif
