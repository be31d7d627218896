/* Between the files that drive HAProxy (files.c, process.c, sync.c, drain.c, report.c, plugin.c): one entry's state. */
#ifndef LBH_ENGINE_H
#define LBH_ENGINE_H

#include <berth/host.h>
#include <berth/lb.h>

#include "cli.h"
#include "settings.h"
#include "stat.h"
#include "state.h"
#include "text.h"

/* What is under way between what is and what should be. One thing at a time. */
enum lbh_phase {
  LBH_IDLE,
  LBH_WRITING,   /* files are written */
  LBH_CHECKING,  /* "haproxy -c" runs */
  LBH_STARTING,  /* it was started, or is to reload: until its description says so */
  LBH_LEARNING,  /* one that runs already is asked what it has */
  LBH_COMMANDING /* runtime commands are under way */
};

/* What a job of files.c was. */
enum lbh_written {
  LBH_WRITTEN_ASIDE,  /* all, the configuration beside its place: it is to be checked */
  LBH_WRITTEN_CONFIG, /* the configuration in force, with its servers of now */
  LBH_SWEPT           /* what the state does not name is gone */
};

/* An apply or update whose caller waits until it is in force. */
struct lbh_waiter {
  berth_op op;
  bool apply;
  struct lbh_waiter *next;
};

struct lbh_drain {
  berth_op op;
  char *endpoint;
  int64_t until_ms; /* monotonic */
  uint64_t open;    /* as last seen */
  uint64_t sum;     /* of this round */
  struct lbh_drain *next;
};

enum { LBH_COUNT_CHAINS = 1024 };

/* Counters of a route over reloads, which begin anew in HAProxy. */
struct lbh_count {
  char *route, *backend;
  uint64_t base[6], last[6]; /* requests, errors, denied, bytes_in, bytes_out, (unused) */
  uint64_t open, rate;
  struct lbh_count *next;
};

struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  const struct berth_host_log *log;
  const struct berth_host_timer *timer;
  const struct berth_host_fd *fds;
  const struct berth_host_child *child;
  const struct berth_host_worker *workers;
  const struct berth_host_events *events;   /* may be absent */
  const struct berth_host_metrics *metrics; /* may be absent */
  struct lbh_settings settings;
  char *user;           /* whom the worker runs as; NULL: whoever we are */
  struct lbh_cli *cli;
  struct lbh_state state;
  bool applied;         /* the host has told it all once */

  enum lbh_phase phase;
  struct lbh_job *job;  /* of files.c, under way; NULL: none */
  bool reshape;         /* the configuration's text may have changed */
  struct lbh_text text;   /* of the state; being checked, or in force where hash is running */
  struct lbh_table want;  /* of the state, as of the last look */
  struct lbh_table is;    /* in the running HAProxy, as far as known */
  char *running;        /* hash in force; NULL: none, or not known */
  char *refused_hash;   /* of a text that HAProxy did not take: it is not tried again unchanged */
  char *refusal;        /* and what it said */
  struct lbh_commands commands; /* under way */
  size_t sent;          /* of them, so many are done */
  size_t in_batch;
  bool deletes;         /* the batch is of deletions */
  bool lingering;       /* some server waits to be deleted */
  int64_t started_ms;   /* monotonic: of the start or reload under way */
  bool reloading;       /* else starting */
  bool reloaded;        /* since the waiters' calls */
  int attempts;         /* starts in a row that failed */
  struct lbh_waiter *waiters;
  struct lbh_asked *asked;     /* probes that ask the program for its version */
  struct lbh_drain *drains;
  berth_op watch;       /* of the method events; 0: none */

  int master;           /* pid of our child's master; 0: none known */
  int pidfd;
  int ending;           /* pidfd of a master that was told to end; -1: none */
  berth_handle pidfd_watch, proc_timer, end_timer;
  int proc_tries, end_tries;
  bool learned;         /* whether one runs, and what it has, is known */
  bool alive;           /* HAProxy answers */
  int desyncs;          /* commands in a row that did not do what they should */
  char *good_text;      /* the configuration in force, to be put back where a reload failed */
  struct lbh_list listening; /* what it listens on by that configuration */
  bool retry_refused;   /* a route is refused for what may mend itself (a port) */
  char *told_refused;   /* the list that the host knows, as text */
  bool failing;         /* told so */
  char *detail;
  char *product_version;
  int worker;           /* its pid */
  int64_t reloads, product_started_ms;
  int old_workers[16];
  size_t nold;
  berth_handle child_run, turn, poll_timer, retry_timer, linger_timer, drain_timer, stats_timer, save_timer;
  struct lbh_count *counts[LBH_COUNT_CHAINS]; /* by the hash of the backend's name */
  bool stats_busy;
  struct lbh_question *questions; /* of stats, not answered yet */
  int64_t drain_pause_ms;
  size_t drain_asks;    /* questions of this round that are not answered */
};

enum { LBH_MAX_LISTENERS = 6000 };

/* ---- files.c ---- */
bool lbh_prepare(struct berth_instance *self, char **why); /* folders, tmpfs for the keys */
char *lbh_aside_path(const struct lbh_settings *settings);  /* where a configuration waits for its check; the caller frees */
/* Jobs: each ends in lbh_written. Only where self->job is NULL. Texts are copied. */
void lbh_write_aside(struct berth_instance *self); /* certificates, pages and the list of the state; the configuration beside its place */
void lbh_write_config(struct berth_instance *self, const char *text);
void lbh_sweep_files(struct berth_instance *self); /* what the state does not name goes */
void lbh_files_stop(struct berth_instance *self);

/* ---- process.c: checks, starts, reloads ---- */
void lbh_check(struct berth_instance *self);       /* ends in lbh_checked */
void lbh_start(struct berth_instance *self);
void lbh_reload(struct berth_instance *self);
void lbh_end_product(struct berth_instance *self); /* softly: what is open goes on */
void lbh_look_at_processes(struct berth_instance *self);
void lbh_process_stop(struct berth_instance *self);
/* Why a new listener cannot be opened, or NULL; the caller frees. */
char *lbh_listen_error(const char *listen);
void lbh_read_listeners(struct berth_instance *self);

/* ---- sync.c ---- */
void lbh_forget_listeners(struct berth_instance *self); /* there is room for LBH_MAX_LISTENERS then */
void lbh_sync(struct berth_instance *self); /* takes the next step */
void lbh_written(struct berth_instance *self, enum lbh_written kind, bool good, const char *why);
void lbh_checked(struct berth_instance *self, int status, const char *said);
void lbh_started(struct berth_instance *self, bool good, const char *why); /* its description is the text's, or will not be */
void lbh_gone(struct berth_instance *self, const char *why); /* HAProxy ended */

/* ---- drain.c ---- */
void lbh_drain_add(struct berth_instance *self, berth_op op, const char *endpoint, int64_t deadline_ms);
void lbh_drain_look(struct berth_instance *self); /* soon, since something is in force by now */
void lbh_drain_cancel(struct berth_instance *self, berth_op op);
void lbh_drain_free(struct berth_instance *self);

/* ---- report.c: statistics ---- */
void lbh_report_start(struct berth_instance *self);
void lbh_report_stats(struct berth_instance *self, berth_op op);
void lbh_report_free(struct berth_instance *self);

#endif
