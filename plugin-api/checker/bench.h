/* What a test stands on: the plug-in loaded into this process, a loop, a good configuration, one running entry. */
#ifndef CHECK_BENCH_H
#define CHECK_BENCH_H

#include <berth/plugin.h>
#include <jansson.h>
#include <stdbool.h>

#include "host.h"
#include "plugin/describe.h"
#include "plugin/manifest.h"
#include "plugin/spawn.h"

/* What the command line says. */
struct check_plan {
  const char *path;
  json_t *config; /* of --config; NULL: one is made */
  json_t *script;
  int seconds;    /* for one test */
  bool wire;      /* it is no .so: path is a script in Lua, or isolation has its command, and path its text */
  struct bt_isolation isolation;
  json_t *hello;  /* what its process said first; NULL: nothing */
};
extern struct check_plan check_plan;

struct check_bench {
  struct bt_loop *loop;
  const struct berth_plugin *plugin;
  struct bt_manifest *manifest;
  json_t *config; /* checked, with defaults and secrets: what the plug-in gets, as JSON */
  char *text;     /* the same as text */
  struct check_host *host;
};

/* Maps the .so without running anything of it but its constructors, or gives what stands for a process; NULL (and failed) where it is
 * none. */
const struct berth_plugin *check_map(void);
/* Maps it, checks it as the server does, and makes the configuration. False (and failed) where one of these does not work. */
bool check_load(struct check_bench *bench);
/* A new entry. False (and failed) where it does not start. */
bool check_up(struct check_bench *bench);
/* Stops it as the server does; the rest stays. */
void check_down(struct check_bench *bench);
/* Stops it and frees everything of ours. */
void check_unload(struct check_bench *bench);

/* A value for the field that is as good as one can guess from its name and type; new reference. */
json_t *check_value_for(const struct berth_field *field);

/* The i-th method that the plug-in has, of all its interfaces; NULL after the last. */
struct check_method {
  const struct bt_interface *interface;
  const struct bt_method *method;
  const void *table;
  char label[96]; /* "chat.send" */
};
bool check_method_at(const struct check_bench *bench, size_t i, struct check_method *out);
bool check_method_named(const struct check_bench *bench, const char *label, struct check_method *out);

/* Numbers of this process. */
struct check_count {
  int descriptors, threads;
};
struct check_count check_count(void);

#endif
