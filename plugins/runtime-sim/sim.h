/* The parts of runtime-sim among themselves: the entry, its operations, its containers, images, networks and volumes. All of it is
 * in memory; journal.c writes down what has to outlive the process. Nothing here starts a process, or reaches a registry. */
#ifndef SIM_H
#define SIM_H

#include <berth/host.h>
#include <berth/registry.h>
#include <berth/runtime.h>

/* Names here are the users' own: their hash needs no key. */
static inline unsigned sim_hash(const void *key, size_t len) {
  const unsigned char *p = key;
  unsigned h = 2166136261u;
  for (size_t i = 0; i < len; i++)
    h = (h ^ p[i]) * 16777619u;
  return h ^ h >> 15;
}
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = sim_hash(keyptr, keylen))
#define uthash_fatal(msg) abort()
#include <uthash.h>

#include "settings.h"

enum { sim_max_images = 10000, sim_max_things = 100000, sim_max_containers = 200000 };

/* ---------------------------------------------------------------- operations */

struct sim_op;
typedef void sim_run(struct sim_op *op);

/* One call of a method: its request, copied, until it is due. run ends it, or lets it go on. */
struct sim_op {
  struct berth_instance *self;
  berth_op id;
  enum sim_verb verb;
  sim_run *run;
  berth_handle timer;
  struct sim_op *prev, *next;
  char *subject;  /* the container, image, network or volume as the caller names it */
  char *key;      /* for whom chance decides */
  json_t *args;   /* of the request, what run reads; NULL: nothing */
  uint64_t nth;   /* the how-manieth such call for key, from 1 */
  int64_t drawn_ms;
  int64_t next_line; /* logs */
  bool waits_input;  /* exec */
};

/* Begins a call: takes args, draws its delay and whether it fails. subject may be NULL, and is refused then where it is needed;
 * key NULL: subject. run comes once it is due and has not failed, at once where it takes no time. */
void sim_op_begin(struct berth_instance *self, berth_op id, enum sim_verb verb, const char *subject, const char *key, json_t *args_steal,
                  sim_run *run);
/* Calls run again after ms. */
void sim_op_again(struct sim_op *op, int64_t ms, sim_run *run);
/* The end of op, which is gone with it. result is taken. */
void sim_op_done(struct sim_op *op, json_t *result_steal);
void sim_op_fail(struct sim_op *op, enum berth_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
struct sim_op *sim_op_find(struct berth_instance *self, berth_op id);
void sim_op_drop(struct sim_op *op); /* without an end: the entry stops */
size_t sim_op_emit(const struct sim_op *op, int channel, const void *data, size_t len);
size_t sim_op_emit_json(const struct sim_op *op, int channel, const json_t *o);

/* ---------------------------------------------------------------- what there is */

enum sim_state { SIM_CREATED, SIM_RUNNING, SIM_EXITED };

struct sim_container {
  UT_hash_handle by_id, by_name;
  char *id, *name;
  char *key;  /* for whom chance decides: "shop/web/3" of Berth's labels, or its name */
  char *text; /* JSON: labels, image, image_id, networks, ports, mounts, needs, service: what create was given, in short */
  int64_t created_ms;
  double cpus;     /* limit; 0: none */
  int64_t memory;  /* limit; 0: none */
  bool checked;    /* it has a health check */
  bool job;        /* it ends by itself */
  bool published;  /* it has ports */
  /* Of the last run; times are of the wall clock, 0: never. */
  enum sim_state state;
  uint64_t run;    /* counts the starts for key */
  int64_t started_ms, finished_ms;
  int64_t ready_ms, sick_ms, end_ms; /* what chance has decided for this run */
  int end_code;
  bool end_oom;
  int exit_code;
  bool oom;
  char told;       /* the health that was told last: 's', 'h', 'u'; 0: none */
  berth_handle timer;
  struct berth_instance *self;
};

struct sim_image {
  UT_hash_handle hh;
  char *id, *digest; /* "sha256:…" */
  json_t *tags;      /* ["repository:tag"] */
  json_t *repos;     /* repositories by which it was pulled */
  int64_t created_ms;
};

/* A network or a volume. */
struct sim_thing {
  UT_hash_handle hh;
  char *name, *id, *driver, *subnet;
  json_t *labels;
};

/* How often something was done for somebody. */
struct sim_count {
  UT_hash_handle hh;
  uint64_t n;
  char name[];
};

struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  const struct berth_host_timer *timer;
  const struct berth_host_log *log;
  struct sim_settings settings;
  struct sim_op *open; /* all that have not ended */
  struct sim_container *by_id, *by_name;
  struct sim_image *images; /* by id */
  struct sim_thing *networks, *volumes;
  struct sim_count *counts;
  uint32_t next_ip;
  int journal; /* descriptor; -1: none */
  size_t journal_lines;
  bool journal_broken;
  int64_t away_until_ms; /* wall clock; 0: the engine is there */
  uint64_t outages;
  berth_handle outage_timer;
};

int64_t sim_now(const struct berth_instance *self);
void sim_log(const struct berth_instance *self, enum berth_log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The next number of what for whom, from 1. */
uint64_t sim_count(struct berth_instance *self, const char *what, const char *whom);
/* The same, but at least that. */
uint64_t sim_count_from(struct berth_instance *self, const char *what, const char *whom, uint64_t least);
void sim_counts_free(struct berth_instance *self);
/* "2026-11-23T13:54:40.123Z"; "" for 0. */
const char *sim_time_text(int64_t ms, char out[32]);

/* ---------------------------------------------------------------- containers.c, container_json.c */

struct sim_container *sim_container_find(struct berth_instance *self, const char *id_or_name);
struct sim_container *sim_container_of(struct sim_op *op); /* the one that op is about; NULL: op has ended with NOT_FOUND */
struct sim_container *sim_container_add(struct berth_instance *self, const char *id, const char *name, const char *key, char *text_steal);
void sim_container_free(struct sim_container *c);
json_t *sim_container_doc(const struct sim_container *c); /* text, parsed; new reference */
json_t *sim_container_text(struct berth_instance *self, const json_t *spec, const char *image_id);
void sim_container_facts(struct sim_container *c, const json_t *doc);
json_t *sim_container_inspect(const struct sim_container *c);
int64_t sim_container_uses(const struct sim_container *c); /* bytes of memory now; streams.c */
json_t *sim_container_listed(const struct sim_container *c, const json_t *doc);
bool sim_label_matches(const json_t *labels, const char *label); /* "name=value", "name", NULL for all */
char *sim_key_of(const char *name, const json_t *labels);

/* ---------------------------------------------------------------- life.c */

/* Begins a run: chance decides when it is ready, turns sick and ends. */
void sim_life_begin(struct sim_container *c);
/* It ends now; tells die (and oom). */
void sim_life_end(struct sim_container *c, int exit_code, bool oom);
/* Brings c to where it is at this time, and waits for what comes next. */
void sim_life_go_on(struct sim_container *c);
bool sim_life_sick(const struct sim_container *c);
const char *sim_life_health(const struct sim_container *c); /* "", "starting", "healthy", "unhealthy" */
/* Tells the watchers of events. more: further members, taken; may be NULL. */
void sim_tell(struct sim_container *c, const char *action, json_t *more_steal);
void sim_outage_plan(struct berth_instance *self);

/* ---------------------------------------------------------------- images.c */

struct sim_image *sim_image_find(struct berth_instance *self, const char *reference);
struct sim_image *sim_image_add(struct berth_instance *self, const char *id, const char *digest);
void sim_image_free(struct berth_instance *self, struct sim_image *image);

/* ---------------------------------------------------------------- things.c */

struct sim_thing **sim_things(struct berth_instance *self, bool volume);
struct sim_thing *sim_thing_add(struct berth_instance *self, bool volume, const char *name);
void sim_thing_free(struct sim_thing **all, struct sim_thing *t);
struct sim_thing *sim_thing_find(struct berth_instance *self, bool volume, const char *name);

/* ---------------------------------------------------------------- journal.c */

/* Reads settings.state, and opens it for what comes. False: *why is a sentence, the caller's. */
bool sim_journal_open(struct berth_instance *self, char **why);
void sim_journal_close(struct berth_instance *self);
void sim_journal_container(const struct sim_container *c);
void sim_journal_run(const struct sim_container *c);
void sim_journal_image(struct berth_instance *self, const struct sim_image *image);
void sim_journal_thing(struct berth_instance *self, bool volume, const struct sim_thing *t);
void sim_journal_gone(struct berth_instance *self, const char *kind, const char *id);

/* ---------------------------------------------------------------- streams.c */

/* A run of c has ended: so do its execs, and its logs are read to their end. */
void sim_streams_ended(const struct sim_container *c);

extern const struct berth_registry sim_registry;

/* Methods, each in the file of its kind. */
void sim_image_inspect(struct berth_instance *self, berth_op op, const struct berth_runtime_image *request);
void sim_image_pull(struct berth_instance *self, berth_op op, const struct berth_runtime_image *request);
void sim_image_build(struct berth_instance *self, berth_op op, const struct berth_runtime_build *request);
void sim_image_prune(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void sim_network_ensure(struct berth_instance *self, berth_op op, const struct berth_runtime_network *request);
void sim_network_remove(struct berth_instance *self, berth_op op, const char *name);
void sim_network_list(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void sim_volume_ensure(struct berth_instance *self, berth_op op, const struct berth_runtime_volume *request);
void sim_volume_remove(struct berth_instance *self, berth_op op, const char *name);
void sim_volume_list(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void sim_create(struct berth_instance *self, berth_op op, const struct berth_runtime_create *request);
void sim_start(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void sim_stop(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void sim_kill(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void sim_remove(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void sim_inspect(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void sim_list(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void sim_events(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
void sim_logs(struct berth_instance *self, berth_op op, const struct berth_runtime_logs *request);
void sim_exec(struct berth_instance *self, berth_op op, const struct berth_runtime_exec *request);
size_t sim_input(struct berth_instance *self, berth_op op, const void *data, size_t len);
void sim_resize(struct berth_instance *self, berth_op op, int32_t rows, int32_t cols);
void sim_stats(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
void sim_copy_in(struct berth_instance *self, berth_op op, const struct berth_runtime_copy *request);
void sim_update(struct berth_instance *self, berth_op op, const struct berth_runtime_update *request);
void sim_copy_out(struct berth_instance *self, berth_op op, const struct berth_runtime_copy *request);

#endif
