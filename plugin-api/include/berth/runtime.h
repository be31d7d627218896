/* berth/runtime.h: berth.runtime/1, container engines. Shaped with the Docker Engine API, Podman's service and conmon + crun in
 * hand: a runtime knows images, networks, volumes and containers on one machine, and nothing of apps, replicas or
 * rollouts.
 *
 * Containers are named by the id that create returned (or by name where a method says so). All methods are idempotent
 * as far as they can be: starting what runs, stopping what stands, removing what is gone succeed. Errors use the
 * codes of berth/plugin.h; UNAVAILABLE means the engine is away. JSON keys are in snake case. Times are RFC 3339, UTC.
 *
 * Cost to aim at: no request to the engine beyond the ones a method needs. */
#ifndef BERTH_RUNTIME_H
#define BERTH_RUNTIME_H

#include <berth/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_RUNTIME "berth.runtime/1"

/* Channels of berth_host_ops.emit. */
enum {
  BERTH_RUNTIME_STDOUT = 1,   /* logs, exec: bytes (with a tty all output comes here) */
  BERTH_RUNTIME_STDERR = 2,
  BERTH_RUNTIME_PROGRESS = 3, /* pull, build: one JSON object a call: {"text", "layer", "current", "total"} */
  BERTH_RUNTIME_EVENT = 4,    /* events: one JSON object a call, see there */
  BERTH_RUNTIME_LINE = 5      /* logs with timestamps: {"time","stream","line"} */
};

struct berth_runtime_image {
  size_t size;
  const char *image;     /* reference or "sha256:…" id */
  const char *platform;  /* "linux/amd64"; NULL: the machine's */
  const char *auth_json; /* pull: {"username","password"|"identity_token","server"}; NULL: anonymous */
};

/* The value of a build's secret: what RUN --mount=type=secret,id=… reads. Never to be logged, kept in an image or in a command line. */
struct berth_runtime_secret {
  const char *id;
  const void *data;
  size_t len; /* at most 500 KiB */
};

/* Builds through the engine. */
struct berth_runtime_build {
  size_t size;
  const char *context;    /* folder on this machine; .dockerignore is honoured */
  const char *build_json; /* the canonical Compose build object (dockerfile, args, target, labels, cache_from, …) */
  const char *tags_json;  /* ["name:tag", …] */
  const char *auth_json;  /* {"registry": {"username","password"}} for FROM; NULL: none */
  const struct berth_runtime_secret *secrets; /* what build.secrets names; without the values the build is refused */
  size_t nsecrets;
};

struct berth_runtime_network {
  size_t size;
  const char *name;        /* real name on the engine */
  const char *spec_json;   /* the canonical Compose network (driver, driver_opts, ipam, internal, attachable, enable_ipv6) */
  const char *labels_json; /* {"berth.app": …} */
};

struct berth_runtime_volume {
  size_t size;
  const char *name;
  const char *spec_json;   /* the canonical Compose volume (driver, driver_opts) */
  const char *labels_json;
};

/* spec_json of create:
 *  {"name": container name,
 *   "image": what to run ("sha256:…", or reference with digest),
 *   "labels": {…},                   every label to set
 *   "service": {…},                  the canonical Compose service: command, entrypoint, environment, user, healthcheck,
 *                                    deploy.resources, cap_add, logging, … The members below stand in for its networks,
 *                                    network_mode, volumes, secrets, configs, ports, volumes_from, pid, ipc, labels, image.
 *   "networks": [{"name", "aliases": [], "ipv4_address", "ipv6_address", "mac_address", "link_local_ips", "driver_opts"}],
 *   "network_mode": "none"|"host"|"bridge"|"container:<id>"   instead of networks
 *   "mounts": [{"type": "volume"|"bind"|"tmpfs", "source", "target", "read_only", "nocopy", "subpath", "propagation",
 *               "selinux", "create_host_path", "tmpfs_size", "tmpfs_mode"}],
 *   "ports": [{"target": 80, "published": 8080 or 0 for any, "host_ip": "127.0.0.1", "protocol": "tcp"}],
 *   "volumes_from": ["<id>:ro"], "pid": "host"|"container:<id>", "ipc": "host"|"shareable"|"container:<id>"}
 * An engine's own restart policy is never set: Berth restarts. */
struct berth_runtime_create {
  size_t size;
  const char *spec_json;
};

struct berth_runtime_container {
  size_t size;
  const char *id;      /* id or name */
  const char *signal;  /* stop, kill: "SIGTERM"; NULL: the container's own or SIGKILL for kill */
  int64_t timeout_ms;  /* stop: grace before SIGKILL; < 0: the container's own */
  bool force;          /* remove: kill first */
  bool volumes;        /* remove: anonymous volumes as well */
};

struct berth_runtime_list {
  size_t size;
  const char *label;   /* "berth.server=…"; NULL: all */
};

struct berth_runtime_logs {
  size_t size;
  const char *id;
  bool follow;
  bool timestamps;     /* emit BERTH_RUNTIME_LINE objects instead of bytes */
  int64_t tail;        /* last n lines; < 0: all */
  int64_t since_ms;    /* wall clock; 0: from the beginning */
  int64_t until_ms;    /* 0: no end */
};

struct berth_runtime_exec {
  size_t size;
  const char *id;
  const char *command_json; /* ["sh", "-c", "…"] */
  const char *env_json;     /* {"NAME": "value"}; NULL: none added */
  const char *user;         /* NULL: the container's */
  const char *workdir;      /* NULL: the container's */
  bool tty;
  bool stdin_open;          /* input() will follow; ends with an input of length 0 */
  bool privileged;
  int32_t rows, cols;       /* of the tty; 0: leave */
};

struct berth_runtime_copy {
  size_t size;
  const char *id;
  const char *path;    /* folder in the container (in) or path (out) */
  const void *tar;     /* in: a whole tar archive, at most 64 MiB */
  size_t tar_len;
};

struct berth_runtime_update {
  size_t size;
  const char *id;
  /* {"cpus": 1.5, "memory": bytes, "memory_reservation": bytes, "pids": n}: the limits from now on; what is absent stays, 0 takes a limit away. */
  const char *resources_json;
};

struct berth_runtime_import {
  size_t size;
  const char *path; /* on this machine: an archive of docker save or of an OCI layout, compressed or not, or the folder of an OCI layout */
  const char *name; /* reference for its only image; NULL: the names that it brings */
};

struct berth_runtime_collect {
  size_t size;
  const char *keep_json; /* array: names, digests and ids of images that the host's apps are made of or may be any moment; they stay */
};

struct berth_runtime_ready {
  size_t size;
  const char *id;
  bool ready; /* false: no name of it is answered any more, its own container name apart */
};

struct berth_runtime {
  size_t size;
  /* {"name": "docker", "version", "api_version", "os", "arch", "platform": "linux/amd64", "kernel", "cpus": 2 (double),
   *  "memory": bytes, "cgroup": "1"|"2", "root_dir", "rootless": bool, "local": bool (root_dir is of this machine),
   *  "disk": bytes, "pids" (how much instances may have; left out where not known), "features": ["healthcheck.start_interval", "annotations",
   *  "volume.subpath", "gpus", "rehearsal" (it only pretends: nothing really runs), …],
   *  "checks": [{"element", "declared", "found", "verdict": "ok"|"warning"|"error", "mend"}] (what this machine has of what the runtime needs, looked
   *  at anew each time, for berth doctor; left out where that is another's to say)} */
  void (*info)(struct berth_instance *self, berth_op op);

  /* {"id": "sha256:…", "digests": ["repo@sha256:…"], "tags": [], "size", "platform", "created" (null: unknown)}; NOT_FOUND */
  void (*image_inspect)(struct berth_instance *self, berth_op op, const struct berth_runtime_image *request);
  /* As image_inspect, after progress on BERTH_RUNTIME_PROGRESS. "name:tag@digest" is pulled by its digest and then bears that name. */
  void (*image_pull)(struct berth_instance *self, berth_op op, const struct berth_runtime_image *request);
  /* {"id": "sha256:…"}; the build's output goes out as progress. */
  void (*image_build)(struct berth_instance *self, berth_op op, const struct berth_runtime_build *request);
  /* Removes images that no container uses. {"removed": [..], "freed": bytes} */
  void (*image_prune)(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);

  /* Makes it where it is absent. {"id", "created": bool}; CONFLICT where one of that name exists with another driver or subnet,
   * or with another value of the label "berth.server" than labels_json has. */
  void (*network_ensure)(struct berth_instance *self, berth_op op, const struct berth_runtime_network *request);
  /* An id as of network_list: that one. A name: all of that name that carry a label of Berth's. What is not there is no error. */
  void (*network_remove)(struct berth_instance *self, berth_op op, const char *name);
  void (*network_list)(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request); /* {"networks":[{"name","id","driver","labels"}]} */
  void (*volume_ensure)(struct berth_instance *self, berth_op op, const struct berth_runtime_volume *request); /* {"name","mountpoint","created"}; CONFLICT as network_ensure */
  void (*volume_remove)(struct berth_instance *self, berth_op op, const char *name); /* CONFLICT where in use */
  void (*volume_list)(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request); /* {"volumes":[{"name","driver","labels","mountpoint"}]} */

  /* {"id", "warnings": []}. CONFLICT where the name is taken: the host inspects by name then. */
  void (*create)(struct berth_instance *self, berth_op op, const struct berth_runtime_create *request);
  /* NOT_FOUND where it, or what it hangs on, is gone; CONFLICT where it is being removed; EXHAUSTED where a port it publishes is taken. */
  void (*start)(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
  void (*stop)(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
  void (*kill)(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
  void (*remove)(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
  /* {"id", "name", "labels": {}, "state": "created"|"running"|"paused"|"restarting"|"exited"|"dead", "exit_code",
   *  "oom_killed": bool, "error": "", "started_at", "finished_at", "health": ""|"starting"|"healthy"|"unhealthy",
   *  "image": as given, "image_id", "pid", "ports": [{"target","published","host_ip","protocol"}],
   *  "networks": {"name": {"ip","ip6","mac","aliases":[]}}, "resources": {"cpus","memory","memory_reservation","pids"} (what it may have now,
   *  0: no limit; left out where update is)} */
  void (*inspect)(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
  /* {"containers": [{"id","name","labels","state","image","image_id","created"}]} */
  void (*list)(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);

  /* Runs until cancelled. BERTH_RUNTIME_EVENT objects: {"action": "start"|"die"|"oom"|"health"|"destroy"|"pause"|"unpause",
   * "id", "name", "labels": {}, "exit_code" (die), "health" (health), "time_ms"}; {"action": "connected"} when the stream
   * (again) stands: what happened before may be missing, so the host reads all anew; {"action": "gap", "message"} when it
   * broke. The plug-in reconnects by itself (0.1 s doubling to 5 s). */
  void (*events)(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
  void (*logs)(struct berth_instance *self, berth_op op, const struct berth_runtime_logs *request);
  /* Ends with {"exit_code"}. */
  void (*exec)(struct berth_instance *self, berth_op op, const struct berth_runtime_exec *request);
  /* Input of an exec; len 0 ends it. Returns the bytes that wait. */
  size_t (*input)(struct berth_instance *self, berth_op op, const void *data, size_t len);
  void (*resize)(struct berth_instance *self, berth_op op, int32_t rows, int32_t cols);
  /* {"cpu_ns", "cpu_system_ns" (0 where unknown), "cpus", "memory": bytes in use without page cache, "memory_limit", "rx_bytes", "tx_bytes",
   *  "read_bytes", "write_bytes", "pids", "time_ms"} */
  void (*stats)(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
  void (*copy_in)(struct berth_instance *self, berth_op op, const struct berth_runtime_copy *request);
  /* Emits the tar on BERTH_RUNTIME_STDOUT. */
  void (*copy_out)(struct berth_instance *self, berth_op op, const struct berth_runtime_copy *request);

  /* Appended later; a runtime that lacks one leaves it NULL. */
  /* Changes the limits of a container that runs, without a restart. {"warnings": []}. INVALID where more memory is in use than the new limit, UNSUPPORTED
   * where this cannot change while it runs: the host replaces it then. The feature "update" in info says that it works. */
  void (*update)(struct berth_instance *self, berth_op op, const struct berth_runtime_update *request);
  void (*pause)(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
  void (*unpause)(struct berth_instance *self, berth_op op, const struct berth_runtime_container *request);
  /* {"images": [as image_inspect, and "containers": how many use it]} */
  void (*image_list)(struct berth_instance *self, berth_op op, const struct berth_runtime_list *request);
  /* {"images": [as image_inspect]}, after progress on BERTH_RUNTIME_PROGRESS. INVALID where the archive is none, or its bytes are not what their digests say. */
  void (*image_import)(struct berth_instance *self, berth_op op, const struct berth_runtime_import *request);
  /* A name is taken away, and the image with its last name; an id takes all. {"removed": [..], "freed": bytes}. CONFLICT where a container uses it, NOT_FOUND. */
  void (*image_remove)(struct berth_instance *self, berth_op op, const struct berth_runtime_image *request);
  /* Whether names that containers share (services, aliases) lead to this one. Only for runtimes that answer names themselves (feature "ready"); a container
   * is ready from its start until it is said otherwise. */
  void (*ready)(struct berth_instance *self, berth_op op, const struct berth_runtime_ready *request);
  /* Asked now and then (every minute, and after a pull): looks whether images have too little room, by the runtime's own measure, and only then removes
   * some that neither a container nor keep_json needs. {"removed": [names and ids], "images": how many, "freed": bytes, "short": bytes that are still
   * missing}. NULL where the engine is not to be collected by itself. */
  void (*image_collect)(struct berth_instance *self, berth_op op, const struct berth_runtime_collect *request);
};

#ifdef __cplusplus
}
#endif

#endif
