/* berth-plugin-host from the inside: one plug-in, one link to the server. Timers, descriptors, workers and children are local and are
 * the server's own code (services/timer.c, worker.c, child.c); everything else is asked of the server over the wire. */
#ifndef BT_PLUGIN_HELPER_H
#define BT_PLUGIN_HELPER_H

#include <berth/host.h>

#include "plugin/internal.h"
#include "plugin/wire.h"

struct helper {
  struct bt_plugins plugins; /* loop, pool and handles, for the local services */
  struct bt_plugin entry;    /* cell, self, stopping, open handles */
  struct bt_link *link;
  const struct berth_plugin *plugin;
  struct bt_manifest *manifest;
  struct bt_strs offered; /* services that the server has */
};

/* The one of this process. */
extern struct helper helper;

/* A message to the server: BT_SEND(head, bytes, len) with a head made by json_pack or bt_json_set_*. Any thread. */
size_t helper_send(json_t *head_steal, const void *bytes, size_t len);
/* An object with "t" and "id" (left out where 0). */
json_t *helper_message(const char *type, berth_handle id);
enum berth_code helper_code(const json_t *head); /* of its "code"; BERTH_INTERNAL where it is none */

/* Messages of the server to services; bytes may not be kept. False where the type is none of theirs. */
bool helper_asks_message(const struct bt_message *m);
bool helper_http_message(const struct bt_message *m);
bool helper_stream_message(const struct bt_message *m);
/* program: the path of this program, which children are started through. */
void helper_child_init(const char *program);
/* What the server took of an op's emits, or of a tunnel's writes. */
void helper_ops_taken(berth_op op, size_t bytes, size_t waiting);

/* The helper's tables of what is asked of the server. */
extern const struct berth_host_ops helper_ops;
extern const struct berth_host_log helper_log;
extern const struct berth_host_child helper_child;
extern const struct berth_host_http helper_http;
extern const struct berth_host_kv helper_kv;
extern const struct berth_host_secret helper_secret;
extern const struct berth_host_metrics helper_metrics;
extern const struct berth_host_events helper_events;
extern const struct berth_host_routes helper_routes;
extern const struct berth_host_query helper_query;

/* ---------------------------------------------------------------- sandbox.c */

struct helper_limits {
  long long user, group;  /* -1: stay who we are */
  long long memory;       /* bytes of data; 0: none */
  long long files;        /* open descriptors; 0: none */
  long long processes;    /* of the user; 0: none */
  long long cpu;          /* seconds of the process's life; 0: none */
  bool network;           /* may open sockets of its own */
};
/* Takes away what the limits say, for good: user, rlimits, new privileges, system calls; and dies with the server. 0, or -1 with a
 * sentence on standard error. */
int helper_confine(const struct helper_limits *limits);
/* Is there a filter for this processor? Another one, of the service's, may be in force where there is none. */
bool helper_filters(void);
/* Tells the server what confines us by now (report.c): once, before there is code of the plug-in. Closes both. */
void helper_report(int *socket, int *status);
/* Our memory is for nobody to read; after the plug-in was mapped. */
void helper_hide(void);

#endif
