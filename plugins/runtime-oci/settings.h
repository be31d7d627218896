/* The entry's configuration; see README.md. */
#ifndef RO_SETTINGS_H
#define RO_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct ro_config {
  char *root, *run;      /* absolute folders */
  char *programs;        /* where berth-monitor, berth-image and berth-resolver are */
  char *storage;         /* "auto", "overlay", "fuse-overlayfs", "copy" */
  char *runtime;         /* the OCI runtime: a path, or a name that is looked up in PATH */
  json_t *runtime_args;  /* array of strings, before the runtime's own */
  json_t *hooks;         /* config.json's "hooks" of every container; NULL: none */
  json_t *runtimes;      /* {name: [path, arguments…]} that a service's runtime may name; never NULL */
  json_t *dns;           /* array of addresses; empty: the machine's own */
  json_t *pools;         /* array of networks ("10.89.0.0/16") that networks without a subnet are cut from */
  bool userns_remap;     /* containers get a user namespace unless they ask for the host's */
  json_t *registries;    /* {host: {"mirrors": [host], "insecure": bool, "ca_file"}}; NULL: none */
  int64_t max_layer_size, max_layer_entries;
  char *devices;         /* of images: "skip", "refuse", "keep" */
  char *build_isolation; /* "oci", "chroot" */
  int64_t log_max_size;  /* bytes of one file */
  int log_max_files;
  int gc_high, gc_low;   /* per cent of the images' file system */
  int64_t gc_max_size;   /* bytes of all layers; 0: any number */
  int64_t gc_min_age_ms, gc_partial_age_ms;
};

/* Folder of the programs where the configuration names none: beside the module in a build tree, else where they are installed. The caller frees. */
char *ro_programs(void);
/* The init for containers: ours of the folder programs, else other (which is freed). The caller frees; NULL: there is none. */
char *ro_program_init(const char *programs, char *other);
/* A name as the path that it has in PATH, since whoever runs it looks nothing up; as it is where it has none there. The caller frees. */
char *ro_program_path(const char *name);
/* Reads and checks a configuration. False with a sentence, and nothing in *out. */
bool ro_config_read(const char *config_json, struct ro_config *out, char **why);
void ro_config_free(struct ro_config *c);

#endif
