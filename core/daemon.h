/* The daemon's parts, wired once: what berthd*.c share. Only the daemon includes this. */
#ifndef BT_DAEMON_H
#define BT_DAEMON_H

#include "api/api.h"
#include "control/executor.h"
#include "loop/http_client.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "model/config.h"
#include "node/agent.h"
#include "node/balancer.h"
#include "node/images.h"
#include "node/stream.h"
#include "plugin/plugin.h"
#include "policy/policy.h"
#include "state/seal.h"
#include "state/store.h"
#include "state/watch.h"

struct bt_daemon {
  struct bt_config *config;
  const char *config_file;
  char *node_name, *portd;
  int64_t started_ms;
  struct bt_loop *loop;
  struct bt_pool *pool;
  struct bt_http *http;
  struct bt_store *store;
  struct bt_feed *feed;
  struct bt_watcher *secrets; /* tells the plug-ins of new values */
  struct bt_seal *seal;
  char *trees_dir;            /* of the API: folders of repositories that apps follow */
  struct bt_policy *policy;
  struct bt_judge *judge;              /* of the policies on places; the loop's */
  struct bt_judge *_Atomic judge_next; /* a newer one, from whoever read the files */
  bool judge_untold;                   /* control did not take it that they changed */
  struct bt_timer *look;               /* at the folder of policies */
  struct bt_plugins *plugins;
  struct bt_plugin_server plugin_server;
  struct bt_kv_wait *kv_waits; /* puts of plug-ins that are not durable yet */
  struct bt_executor *executor;
  struct bt_agent *agent;
  struct bt_uplink *uplinks, *last_uplink; /* what the node told and the server did not hear yet */
  struct bt_balancer *balancer;
  struct bt_api *api;
  json_t *stats;          /* the last statistics of all instances, for metrics */
  int64_t stats_ms;       /* monotonic; when they were read */
  json_t *cpu_before;     /* {"ns/app/service": {instance: sample}} as of the last question; NULL: none yet */
  struct bt_timer *settings_again; /* a reload whose settings could not be taken; NULL: none */
  struct bt_timer *trim;  /* gives free memory back to the system once a burst is over */
  struct bt_timer *doctor;
  size_t found_wrong;     /* errors of its last round */
  bool closing;
};

/* berthd_wire.c: builds everything from d->config and d->config_file; also after a failure, bt_daemon_close ends it. */
int bt_daemon_open(struct bt_daemon *d, struct bt_err **err) BT_CHECK;
void bt_daemon_close(struct bt_daemon *d); /* containers run on */
void bt_daemon_reload(struct bt_daemon *d);          /* puts the live fields of d->config into force */
/* The plug-ins of a configuration, borrowed from it; the caller frees. */
struct bt_plugin_entry *bt_daemon_entries(const struct bt_config *config, size_t *n);

/* berthd_policy.c: the policies, and who is told when they change */
int bt_daemon_policies_open(struct bt_daemon *d, struct bt_err **err) BT_CHECK;
struct bt_control_judge bt_daemon_judge(struct bt_daemon *d); /* asks those that are in force */
void bt_daemon_policies_watch(struct bt_daemon *d);           /* looks at the folder now and then; once the executor runs */
void bt_daemon_policies_reload(struct bt_daemon *d);          /* by d->config */
void bt_daemon_policies_close(struct bt_daemon *d);           /* once the pool has finished */

/* berthd_services.c */
void bt_daemon_plugin_server(struct bt_daemon *d);            /* fills d->plugin_server */
void bt_daemon_watch_secrets(struct bt_daemon *d);            /* once the feed has its start; d->secrets */
void bt_daemon_kv_end(struct bt_daemon *d);                   /* after the executor's end: answers what is open */
int bt_daemon_content(void *arg, const char *namespace_, const char *key, void **data, size_t *len, struct bt_err **err);
json_t *bt_daemon_status(void *arg);                          /* GET /v1/server */

/* berthd_doctor.c */
void bt_daemon_doctor(void *arg, void (*done)(void *done_arg, json_t *report_steal), void *done_arg);
void bt_daemon_doctor_soon(struct bt_daemon *d); /* after a start or reload: what is wrong goes to the log and into the status */

/* All pages of bt_control_list in one new array. after: as of struct bt_query. */
json_t *bt_daemon_list(struct bt_daemon *d, const char *kind, uint64_t after);

/* berthd_metrics.c: berth.host.metrics/1.collect */
void bt_daemon_collect(void *arg, int64_t max_age_ms, void (*sample)(void *done_arg, const struct berth_metric_sample *sample),
                       void (*done)(void *done_arg, enum bt_code code, const char *message), void *done_arg);
long long bt_daemon_rss(void); /* bytes */

/* berthd_autoscale.c: control's call "metrics.read". done comes once, also from inside. */
void bt_daemon_read_metrics(struct bt_daemon *d, const json_t *args, void (*done)(void *arg, enum bt_code code, const char *message, const json_t *result),
                            void *arg);

#endif
