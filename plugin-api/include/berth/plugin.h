/* berth/plugin.h: the contract between Berth and a plug-in, ABI 1.
 *
 * A plug-in is a shared object that exports one symbol, BERTH_PLUGIN_SYMBOL: a "const struct berth_plugin". It links
 * nothing of Berth; it reaches the host only through the tables that it is handed.
 *
 * Rules that hold everywhere in these headers
 *  - Only plain data crosses: strings (UTF-8, NUL-terminated), integers, booleans, byte ranges with a length, JSON text.
 *  - Every struct that crosses begins with its size in bytes ("size"). Fields are only ever appended. Whoever reads a
 *    struct checks the size before it reads a field that was not in the first version (BERTH_HAS). Elements of arrays carry
 *    no size of their own: the manifest says once how large its elements are (BERTH_MANIFEST_SIZES), so that they can grow
 *    too; berth_interface and berth_pair never change.
 *  - Whatever is passed in is borrowed for the length of the call; whoever wants to keep it copies it.
 *  - Every function of the host is called from the loop's thread only, but those that say "any thread"; the host calls
 *    the plug-in from the loop's thread only. A callback must not block: over 50 ms is logged with the plug-in's name.
 *    What may wait goes to a worker (berth.host.worker/1), a child process, or another process.
 *  - Every method of an interface is asynchronous: it gets an operation (berth_op), returns at once, and finishes that
 *    operation exactly once with berth_host_ops.finish (it may do so before it returns). The host owns deadlines: after
 *    a deadline it calls the plug-in's cancel, and answers its own caller; a late or second finish is logged and dropped.
 *  - When an entry stops, the host first ends its open operations (late finishes are dropped in silence), then gives each open
 *    handle its last callback with BERTH_CANCELLED while the plug-in's state still lives, then calls stop(). After that nothing
 *    comes any more, but for done() of workers that were still running.
 *  - Where memory is refused: BERTH_EXHAUSTED. Who cannot go on may abort(), as the server itself does; never use what is not there.
 *  - A plug-in is never unloaded (dlclose) while its process lives.
 *
 * The same .so runs inside the server or alone in a helper process; it cannot tell which. */
#ifndef BERTH_PLUGIN_H
#define BERTH_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_ABI 1
#define BERTH_PLUGIN_SYMBOL berth_plugin_v1 /* the major is part of the name: another major is another symbol */
#define BERTH_PLUGIN_SYMBOL_NAME "berth_plugin_v1"
#define BERTH_EXPORT __attribute__((visibility("default")))

/* True where the struct that p points to (by whoever filled p->size) has the field. */
#define BERTH_HAS(p, field) \
  ((p)->size >= (size_t)((const char *)&(p)->field - (const char *)(p)) + sizeof((p)->field))

/* ---------------------------------------------------------------- results */

/* Outcome of an operation. The names are stable, and the same as the API's problem codes. */
enum berth_code {
  BERTH_OK = 0,
  BERTH_INVALID = 1,         /* bad argument; trying again unchanged cannot help */
  BERTH_NOT_FOUND = 2,
  BERTH_CONFLICT = 3,
  BERTH_UNAUTHENTICATED = 4,
  BERTH_DENIED = 5,
  BERTH_UNSUPPORTED = 6,     /* the product behind the plug-in cannot do that: say what and since which version */
  BERTH_TOO_LARGE = 7,
  BERTH_EXHAUSTED = 8,
  BERTH_UNAVAILABLE = 9,     /* the product is away; the host may try again */
  BERTH_DEADLINE = 10,
  BERTH_CANCELLED = 11,
  BERTH_IO = 12,
  BERTH_INTERNAL = 13
};

/* An operation in flight; 0 is none. Never used again within a process. */
typedef uint64_t berth_op;

/* ---------------------------------------------------------------- configuration */

enum berth_type { BERTH_STRING, BERTH_INT, BERTH_BOOL, BERTH_DURATION /* "10s"; handed over as milliseconds */,
                  BERTH_SIZE /* "64MiB"; handed over as bytes */, BERTH_LIST /* of strings */, BERTH_MAP /* of strings */,
                  BERTH_JSON /* any; the plug-in checks it in validate */ };

/* One field of a plug-in's configuration; the array ends with name == NULL, and its elements are as large as the manifest's
 * field_size says. The host checks type and range, fills
 * defaults, refuses unknown keys, exports a JSON Schema, and hands over one JSON object. A field without a value and without
 * a default is absent from it. */
struct berth_field {
  const char *name;
  enum berth_type type;
  const char *fallback;  /* default as text ("10s", "64MiB"; JSON for INT, BOOL, LIST, MAP, JSON), NULL for none */
  bool required;
  bool secret;           /* never shown; its texts (also those inside of LIST, MAP and JSON) may be given as
                            {"secret": NAME} or {"file": PATH}, and are handed over as text */
  bool immutable;        /* a change needs a restart of the plug-in */
  const char *doc;       /* one sentence, with the unit */
  int64_t min, max;      /* of INT, DURATION (ms), SIZE (bytes) and lengths of LIST; both 0: no limits */
};

/* ---------------------------------------------------------------- the host */

struct berth_instance; /* the plug-in's own state, one per configured entry; opaque to the host */

/* The host as one plug-in entry sees it. Services are asked for by id in start(); a NULL answer means that this host does
 * not have it. The tables live as long as the process. */
struct berth_host {
  size_t size;
  uint32_t abi;                  /* BERTH_ABI of the host */
  const char *version;           /* of Berth, "0.1.0" */
  const char *name;              /* this entry's name in berthd.yaml */
  const void *(*service)(const struct berth_host *host, const char *id);
  void *impl;                    /* the host's own */
};

/* An interface that a plug-in implements: id ("berth.runtime/1") and its table (berth/runtime.h …), which begins with its size.
 * These two members for ever: what an interface has to say more, it says in its table. */
struct berth_interface {
  const char *id;
  const void *methods;
};

/* Another plug-in that this one works with; the array ends with id == NULL. The host refuses to start what misses one. Ranges of
 * versions are comparisons that must all hold, separated by spaces: ">=1.40 <2". */
struct berth_depend {
  const char *id;        /* an interface ("berth.registry/1") that a running entry must offer, or a plug-in ("scm-git") */
  const char *versions;  /* of that plug-in; NULL: any */
  bool optional;         /* it may be absent; where it is there, its version must be in the range */
  const char *why;       /* what it is needed for, as the rest of a sentence: "to know which images changed" */
};

/* A live product behind the plug-in, and the versions of its API that the plug-in was made for; the array ends with
 * name == NULL. berth doctor compares them with what it finds: a result of the interface's probe has "version" (where one product
 * is declared) or "products": {name: version}; of a runtime it is the name and api_version of info. */
struct berth_product {
  const char *name;      /* "docker" */
  const char *versions;  /* range of API versions, as above: ">=1.40 <2" */
  const char *doc;       /* what that version is, and where to read it: "Docker Engine API" */
};

/* Where the entry's code is to run when its configuration does not say. A plug-in can ask for a process of its own; that it
 * would like to run inside of the server counts only for those that Berth brings along. */
enum berth_isolation { BERTH_ISOLATION_DEFAULT, BERTH_ISOLATION_PROCESS, BERTH_ISOLATION_NONE };

/* What a plug-in is. Static data: readable without running any of its code. */
struct berth_manifest {
  size_t size;
  uint32_t abi;                         /* BERTH_ABI it was built with */
  const char *id;                       /* "runtime-docker": <kind>-<product>, [a-z0-9-]{3,64} */
  const char *version;                  /* semantic version of the plug-in */
  const char *summary;                  /* one sentence */
  const char *license;                  /* SPDX */
  const struct berth_interface *interfaces; /* ends with id == NULL */
  const char *const *needs;             /* host services it cannot do without ("berth.host.http/1"), ends with NULL */
  const struct berth_field *config;     /* ends with name == NULL; may be NULL */
  /* Appended later; all may be left out. */
  size_t field_size;                    /* of an element of config in this build; 0: as large as it was at first */
  size_t depend_size;                   /* of an element of depends */
  size_t product_size;                  /* of an element of products */
  const struct berth_depend *depends;   /* other plug-ins it works with; ends with id == NULL; may be NULL */
  const char *const *exclusive;         /* roles that one running entry at a time can have ("route.ingress"), ends with NULL */
  const char *const *conflicts;         /* ids of plug-ins that cannot run beside it, ends with NULL */
  const struct berth_product *products; /* ends with name == NULL; may be NULL */
  enum berth_isolation isolation;
};

/* The members of a manifest that only the compiler knows: write it first, as in
 * static const struct berth_manifest manifest = {BERTH_MANIFEST_SIZES, .id = "chat-print", …}; */
#define BERTH_MANIFEST_SIZES                                                                                       \
  .size = sizeof(struct berth_manifest), .abi = BERTH_ABI, .field_size = sizeof(struct berth_field),               \
  .depend_size = sizeof(struct berth_depend), .product_size = sizeof(struct berth_product)

struct berth_plugin {
  size_t size;
  const struct berth_manifest *manifest;
  /* Checks a configuration beyond its types: 0, or an error code with *why set to a sentence (static or owned by the
   * plug-in until the next call). May be NULL. Must not touch the network. */
  enum berth_code (*validate)(const char *config_json, const char **why);
  /* Starts one entry: *out becomes its state. 0, or a code with *why. Must not block; connecting is done later. */
  enum berth_code (*start)(const struct berth_host *host, const char *config_json, struct berth_instance **out,
                           const char **why);
  /* Takes a changed configuration (immutable fields are the same). May be NULL: then the host stops and starts anew. */
  enum berth_code (*reload)(struct berth_instance *self, const char *config_json, const char **why);
  /* Stops: frees the state. The host has ended all operations and handles before (see the rules above); what a worker still
   * uses is freed by that worker's done(). */
  void (*stop)(struct berth_instance *self);
  /* The caller of op gave up (deadline, disconnect): stop the work and finish op with BERTH_CANCELLED within 10 s, whatever had come of
   * it by then; the host complains of what is not finished. An op that is unknown or has ended is to be ignored. */
  void (*cancel)(struct berth_instance *self, berth_op op);
};

#ifdef __cplusplus
}
#endif

#endif
