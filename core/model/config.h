/* The server's configuration: berthd.yaml as a checked struct. One table of fields (name, type, default, doc, live)
 * is the source of the check, of the defaults, of the JSON Schema and of the reload rules. Pure: it is given the text.
 * Knows nothing of the plug-ins' own fields; their "config" stays a tree with places for the plug-in host to check. */
#ifndef BT_MODEL_CONFIG_H
#define BT_MODEL_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/log.h"
#include "base/map.h"
#include "base/vec.h"
#include "base/yaml.h"
#include "model/config_place.h"

enum bt_role { BT_ROLE_ALL, BT_ROLE_SERVER, BT_ROLE_NODE };
enum bt_log_format { BT_LOG_TEXT, BT_LOG_JSON };

/* One entry of "plugins". */
struct bt_config_plugin {
  char *name;   /* unique; default: the plug-in's name, or the file's without ".so" */
  char *plugin; /* a plug-in of plugin_dir, such as "runtime-docker"; NULL where path is given */
  char *path;   /* absolute path of a shared object; NULL where plugin is given */
  struct bt_config_place place;
  struct bt_loc loc;
  const struct bt_yaml *config_tree; /* borrowed from the configuration; NULL where absent: check it and name places */
  json_t *config;                    /* the same as JSON; an empty object where absent */
};

/* Every string is owned by the configuration; NULL means "not set". Durations are nanoseconds, sizes bytes. */
struct bt_config {
  char *file;           /* the name that places carry */
  struct bt_yaml *tree; /* NULL for bt_config_default() */
  int role;             /* enum bt_role; only BT_ROLE_ALL passes the check in this version */
  struct {
    char *name;                 /* NULL: the machine's host name */
    struct bt_map *labels;      /* NAME -> char * */
    int64_t reserve_nano_cpus;  /* 1e9 is one CPU */
    int64_t reserve_memory;
    json_t *devices, *resources; /* model/node_has.h */
    int64_t concurrency;        /* engine operations at the same time */
  } node;
  struct {
    char *path; /* of the SQLite database; its folder also holds what is not configured elsewhere */
  } state;
  char *run_dir;
  char *plugin_dir; /* NULL: where the build installs them */
  struct {
    struct {
      char *path; /* default: run_dir/berth.sock */
      int64_t mode;
      char *group; /* NULL: leave it */
    } socket;
    struct {
      char *listen; /* as written; NULL: no TCP */
      char *host;   /* split from listen, without brackets */
      int port;
      char *token_file; /* default: "token" beside the state */
      struct {
        char *cert, *key; /* PEM files; both or none */
      } tls;
    } tcp;
  } api;
  struct {
    int level;  /* enum bt_log_level */
    int format; /* enum bt_log_format */
  } log;
  struct {
    char *key_file; /* default: "secrets.key" beside the state */
  } secrets;
  struct {
    char *dir;
    int64_t timeout;
    int64_t memory;
  } policies;
  struct {
    int64_t revisions;
    int64_t events;
  } history;
  /* Sections that are the control core's, in canonical JSON; never NULL in a configuration. */
  struct {
    json_t *pools;      /* model/pool.h */
    json_t *namespaces; /* model/quota.h */
    json_t *scheduling; /* model/scheduling.h */
  } settings;
  BT_VEC(struct bt_config_plugin) plugins;
};

/* Reads a configuration from text; "file" is its name in messages, and its folder is what relative paths mean. An empty
 * text is the defaults. 0 and *out (the caller frees), or -1 with every error in diags; warnings may come either way. */
int bt_config_parse(const char *text, size_t len, const char *file, struct bt_config **out, struct bt_diags *diags) BT_CHECK;
/* The defaults alone. Never NULL. */
struct bt_config *bt_config_default(void);
void bt_config_free(struct bt_config **config);

/* What a reload would change: names of fields ("log.level", "plugins") that take effect live, and of those that need a
 * restart. Either list may be NULL. */
void bt_config_diff(const struct bt_config *old, const struct bt_config *now, struct bt_strs *live, struct bt_strs *fixed);
/* Takes over the live fields of now into running and leaves all others as they are. */
void bt_config_adopt(struct bt_config *running, struct bt_config *now);

/* The settings as control takes them: {"pools", "namespaces", "scheduling"}. New reference. */
json_t *bt_config_settings(const struct bt_config *config);
/* The effective configuration as JSON in the file's own shape, defaults included. New reference. Plug-ins' config is left
 * out, since it may hold secrets. */
json_t *bt_config_json(const struct bt_config *config);
/* JSON Schema 2020-12 of the file. New reference / text (the caller frees). */
json_t *bt_config_schema(void);
char *bt_config_schema_json(void);

#define BT_AUTO_CONFIG __attribute__((cleanup(bt_config_free))) struct bt_config *

#endif
