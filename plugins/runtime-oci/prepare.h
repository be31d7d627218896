/* What a worker reads and makes for a container before its monitor starts: image, translation, folders and files. Blocks. Knows nothing of
 * operations; everything it needs is copied into it on the loop. */
#ifndef RO_PREPARE_H
#define RO_PREPARE_H

#include <berth/plugin.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "net.h"
#include "settings.h"
#include "spec/spec.h"
#include "storage.h"

struct ro_prepare {
  /* ---- given ---- */
  char *root, *run_root, *dir, *run, *id;
  char *runtime, *programs;
  json_t *runtime_args, *runtimes, *hooks, *dns, *pools; /* settings */
  struct ro_storage storage;
  bool remap;
  int64_t log_max_size;
  int log_max_files;
  json_t *spec;        /* create's; at start it is read from the record */
  json_t *peers;       /* {as the spec names it: {"id","pid","dir","shm"}} */
  json_t *volumes;     /* {name: record} of those that it may mount */
  char *name;          /* of the container */
  json_t *labels;      /* at start: the container's */
  char *image;         /* what to look for in the store: spec's image, or the id it was created with */
  bool trying;         /* create: look whether it is right, make nothing but volumes and the record */
  int64_t now_ms;      /* wall clock */
  /* ---- found ---- */
  enum berth_code code;
  char *why;
  json_t *image_json;  /* see image/store.h */
  struct ro_spec out;
  struct ro_net_plan net;
  json_t *made;        /* {name: record} of volumes that were made */
};

/* What settings and storage hold for the container id, with the run and container folders. */
struct ro_prepare *ro_prepare_new(const struct ro_config *config, const struct ro_storage *storage, const char *id);
void ro_prepare_free(void *p);
/* True, or false with code and why. */
bool ro_prepare_look(struct ro_prepare *p);   /* create: image, translation, volumes */
bool ro_prepare_bundle(struct ro_prepare *p); /* start: networks, translation, mounts of volumes, bundle, monitor.json */
/* Takes back what a bundle made, where the start failed after it. */
void ro_prepare_undo(struct ro_prepare *p);
/* "container:X" of network_mode, pid, ipc and "X[:ro]" of volumes_from: array of names, each once. New reference. Pure. */
json_t *ro_prepare_peers(const json_t *spec);

#endif
