/* berth/lb.h: berth.lb/1, load balancers: the way in for outside traffic. Shaped with HAProxy (configuration file, runtime socket,
 * reload) and Caddy (one JSON document over an admin API) in hand: the host pushes what should be, whole or as changes of
 * endpoints, and the plug-in brings its product there without a request being lost. A load balancer knows routes, pools and
 * endpoints, and nothing of apps, replicas or rollouts.
 *
 * A route says which requests are meant, and to which pools they go in which proportions. A pool is a set of endpoints that can
 * stand in for each other. An endpoint is an address that takes requests; its id is unique among all pools' endpoints but for the
 * one instance that stands in several pools, which has the same id in each of them.
 *
 * Level-triggered: after a start of the plug-in the host applies the whole state, and again whenever it is in doubt. A plug-in whose
 * product ends or restarts puts the last state in force again by itself. Calls of apply and update take effect in the order in
 * which they were made; the plug-in may put several in force at once.
 *
 * JSON crosses as text, keys in snake case, times in milliseconds, sizes in bytes. What a key does not name is left out;
 * unknown keys are to be ignored. Text of the state that holds key material ("certificates") is not to be logged, and is to be
 * written only where no other user can read it. */
#ifndef BERTH_LB_H
#define BERTH_LB_H

#include <berth/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_LB "berth.lb/1"

/* Channel of berth_host_ops.emit. */
enum {
  BERTH_LB_EVENT = 1 /* events: one JSON object a call, see there */
};

/* state_json of apply:
 *  {"revision": n, rising; for the log,
 *   "routes": [{
 *     "id": "default/shop.example/api": at most 300 bytes, stable as long as the route means the same requests,
 *     "protocol": "http"|"tcp",
 *     "port": tcp: the port to listen on, 1 to 65535; absent of http routes, which share the ports that the operator configured,
 *     "hosts": http: ["shop.example", "*.shop.example"], lower case; a star stands for one or more labels; [] or absent: any,
 *     "paths": http: ["/", "/api"]: prefixes that end at a slash or at the path's end; absent: ["/"]. Of two routes that both
 *              match, the exact host goes before the star, the star before any; then the longer path before the shorter,
 *     "targets": [{"pool": id, "weight": 0 to 1000}]: in proportion to their weights, whatever their numbers of endpoints. A pool
 *              without a ready endpoint leaves its share to the others,
 *     "scheme": "http"|"https": how endpoints are spoken to; https without a check of their certificate; default http,
 *     "tls": {"certificate": name in "certificates", "redirect": bool}: requests come encrypted, the certificate is chosen by
 *              the name the client asks for; redirect: plain requests are sent to https, else they are served as well. tcp: the
 *              port speaks TLS; redirect means nothing. Absent: plain,
 *     "sticky": {"by": "cookie"|"address", "cookie": name, "lifetime_ms": of an address that is not seen}: who was served by an
 *              endpoint goes there again while it is ready. cookie: http only,
 *     "timeouts": {"connect_ms": to an endpoint, "response_ms": until an endpoint answers a request (http), "idle_ms": without a byte
 *              either way (tcp, and http connections that were upgraded)},
 *     "rate_limit": {"requests": n, "period_ms": p}: of one client's address; more are refused with status 429. tcp: connections, which
 *              are closed,
 *     "maintenance": {"status": 200 to 599, "content_type", "body": at most 12 KiB, "retry_after_s", "allow": ["10.0.0.0/8", …] clients
 *              that are served as ever}: present: requests get this answer. Not for tcp,
 *     "accept_proxy": bool, tcp: connections begin with a PROXY protocol header, which tells the client's address,
 *     "client_address": "header"|"proxy-v1"|"proxy-v2"|"none": how an endpoint learns the client's address. header: X-Forwarded-For, with
 *              X-Forwarded-Proto, -Host and -Port; http only}],
 *   "pools": [{"id", "endpoints": [{"id", "address": IPv4 or IPv6, "port", "state": "ready"|"drain", "weight": 1 to 1000 among its
 *              pool, default 100}]}],
 *   "certificates": [{"name", "pem": certificate, chain and key}]}
 * drain: takes no new requests, whoever sticks to it included; open ones go on. */
struct berth_lb_apply {
  size_t size;
  const char *state_json;
};

/* changes_json of update: {"revision": n, "changes": [{"pool", "endpoint": id, "state": "ready"|"drain"|"gone", "address", "port",
 * "weight"}]}, in order, the endpoint as it is from now on: one that was not there is added, "gone" takes it out (open requests go on).
 * A change that says what is so already is fine. */
struct berth_lb_update {
  size_t size;
  const char *changes_json;
};

struct berth_lb_drain {
  size_t size;
  const char *endpoint;  /* in whatever pools it is */
  int64_t deadline_ms;   /* from now; then it ends with what is still open */
};

struct berth_lb {
  size_t size;
  /* Puts the whole state in force: what is not in it is gone. Result: {"reloaded": bool, "refused": [{"route": id, "message":
   * sentence}]}: routes that the product does not take (a broken certificate, a port that somebody else has) are left out, and the
   * rest is in force. INVALID: the product takes nothing of it; UNAVAILABLE: the product is away. After an error what was in force
   * before still is. */
  void (*apply)(struct berth_instance *self, berth_op op, const struct berth_lb_apply *request);
  /* Endpoints come, go, drain, change weight. Must not interrupt anything. Result: {}. CONFLICT: a pool that the last apply did
   * not name: the host applies anew. UNAVAILABLE as for apply. */
  void (*update)(struct berth_instance *self, berth_op op, const struct berth_lb_update *request);
  /* Drains the endpoint in all pools, as a change to "drain" does, and ends when it has no open request any more, at once where
   * it is not known, or at the deadline. Result: {"open": requests and connections that are still open}. The state stays until an
   * apply or update says otherwise. */
  void (*drain)(struct berth_instance *self, berth_op op, const struct berth_lb_drain *request);
  /* Result: {"routes": [{"route": id, "requests": since the route is in force, tcp: connections; "errors": answers of 500 and above
   * and what no endpoint answered, "denied": refused by rate_limit, "rate": requests of the last second, "open": now, "bytes_in",
   * "bytes_out", "endpoints": [{"endpoint", "requests", "errors", "open"}]}], "product", "version", "reloads": since the product's
   * start, "started_ms": wall}. */
  void (*stats)(struct berth_instance *self, berth_op op);
  /* Runs until cancelled; its end tells the host that the plug-in has forgotten what it was told. BERTH_LB_EVENT objects: {"status":
   * "ok"|"failing", "message": sentence}: the product went away, or came back with the last state in force; or what was in force
   * changed for the worse without a call ({"refused": [...]} as of apply). */
  void (*events)(struct berth_instance *self, berth_op op);
  /* Result: {"status": "ok"|"failing", "detail": sentence, "version": of the product}; for berth doctor. */
  void (*probe)(struct berth_instance *self, berth_op op);
};

#ifdef __cplusplus
}
#endif

#endif
