/* From Berth's create spec (berth/runtime.h, berth_runtime_create) and an image's configuration to what an OCI runtime is given: its
 * config.json (runtime-spec 1.0), the monitor's parts, the texts of /etc/hosts, /etc/hostname and /etc/resolv.conf, and warnings and
 * errors in words. Pure: all that it knows of the machine and of other containers comes in. It acts as Docker's Engine does where the
 * specification of Compose leaves it open. Attributes that it does not know are refused by name. */
#ifndef RO_OCI_SPEC_H
#define RO_OCI_SPEC_H

#include <berth/plugin.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "facts.h"

/* In config.json where the container's network namespace has no path before its monitor made it: the monitor puts its own there. */
#define RO_NETNS "/berth/netns"

/* What the operator chose for all containers. Zero and NULL are the defaults. */
struct ro_choices {
  uint32_t map_uid, map_gid, map_count; /* containers' user 0 is this user of the machine, and so on for so many; count 0: no user namespaces */
  int64_t log_size;                     /* bytes of a log file; 0: 10 MiB. A service's own logging options win */
  int log_files;                        /* 0: 3 */
  int64_t shm_size;                     /* bytes; 0: 64 MiB */
  const json_t *runtimes;               /* {name: [program, arguments…]} that a service's "runtime" may name; NULL: none */
  const char *cgroup_parent;            /* NULL: "/berth" */
  const char *volumes;                  /* folder of the volumes: a volume's files are in NAME/_data below it */
};

/* All borrowed for the call. */
struct ro_request {
  const struct ro_facts *facts;
  const struct ro_choices *choices; /* NULL: the defaults */
  const char *id;                   /* of the container: 64 hexadecimal digits */
  const json_t *spec;
  const json_t *image;              /* the image's configuration as the registry has it ({"config": {…}}), or its inner object; NULL: empty */
  const char *passwd, *group;       /* the image's /etc/passwd and /etc/group, of which the first 1 MiB is looked at; NULL: it has none */
  const json_t *found;              /* what ro_needs_read made of ro_spec_needs; NULL: nothing was needed */
  const json_t *volumes;            /* {name: folder} of volumes whose files are elsewhere than choices->volumes has it; NULL: none */
  /* {id: {"pid", "hostname", "dir", "spec", "image"}} of the containers that the spec names under network_mode, pid, ipc, volumes_from.
   * One that is missing is an error (NOT_FOUND), but where trying is set. */
  const json_t *containers;
  bool trying;                      /* at create: is it right? Other containers need not run yet */
  const char *dir;                  /* the container's own folder, for hosts, hostname, resolv.conf */
  const char *bundle;               /* its bundle: mnt/N in it is where the monitor puts what must be resolved safely */
  const char *rootfs;               /* root.path of config.json; NULL: "rootfs" in the bundle */
  const json_t *addresses;          /* of the container, for /etc/hosts: ["10.89.0.5", "fd00::5"]; NULL: none */
  const json_t *gateways;           /* what "host-gateway" stands for: ["10.89.0.1"]; NULL: there is none */
  const json_t *resolvers;          /* nameservers of its networks: ["10.89.0.1"]; NULL: the machine's own */
  const char *host_hosts, *host_resolv; /* the machine's /etc/hosts and /etc/resolv.conf; NULL: empty */
};

/* Translation under way, and its outcome. */
struct ro_spec {
  const struct ro_request *in;
  const struct ro_facts *facts;
  const struct ro_choices *choices;
  json_t *service, *image;           /* spec.service, and the inner object of the image's configuration; never NULL */
  bool privileged, host_network, host_pid, host_ipc, userns;
  uint64_t caps;                     /* granted, a bit each */
  char *hostname_text;               /* name inside; "" where the machine's is kept */

  json_t *config;                    /* config.json */
  json_t *process, *linux_part;      /* its members, borrowed */
  json_t *mounts;                    /* collected: objects with "destination" */
  /* The monitor's: {"tty", "stdin_open", "log", "cgroup", "network": {"mode", "path"}, "runtime" (a service's
   * own: its program and arguments), "propagation", "sysctls" (of its network namespace, for containers of mapped users), "make", "binds",
   * "own", "copy_up"}. own: [{"path", "uid", "gid"}]: volumes that the container's own root is to have while they are empty. make: [folders of the machine] that are to be made where they are absent (bind mounts with create_host_path).
   * binds: [{"root", "path", "target"} or {"pid", "path", "target"}]: what ro_path_bind is to put at target before the runtime
   * starts. copy_up: [{"source": path in the root file system, "target": folder}]: filled from there while it is empty. */
  json_t *monitor;
  json_t *volumes;                   /* [{"name", "anonymous": bool}] that must be there */
  json_t *upstreams;                 /* ["10.9.8.7"]: the service's dns where the networks' resolvers stand in resolv.conf: they forward there */
  char *hosts, *hostname, *resolv;   /* texts for the files in dir; NULL where the container uses another's or none */
  /* The health check in force, the service's over the image's: {"test", "interval_ms", "timeout_ms", "start_period_ms", "start_interval_ms",
   * "retries"}; NULL: none. */
  json_t *health;
  char *stop_signal;                 /* "SIGTERM" */
  int64_t stop_ms;                   /* grace before SIGKILL */
  int64_t disk;                      /* bytes that it may write at most; 0: no limit */
  json_t *warnings;                  /* array of sentences */
  enum berth_code code;              /* of the first error, else 0 */
  char *why;                         /* its sentence */
};

/* What must be read of the machine before: {"files": [seccomp profiles], "devices": [paths]}; new reference. Pure. */
json_t *ro_spec_needs(const json_t *spec);
/* Reads that: {"files": {path: text}, "devices": {path: {"type", "major", "minor", "mode", "uid", "gid"} or {"nodes": {path: {…}}}}}. Blocks:
 * for workers. What cannot be read is left out. New reference. */
json_t *ro_needs_read(const json_t *needs);

/* Translates. False with out->code and out->why where the spec or the image is wrong, or this machine cannot do it. out is initialised
 * here and always to be freed. */
bool ro_spec_translate(const struct ro_request *in, struct ro_spec *out);
void ro_spec_free(struct ro_spec *s);

#endif
