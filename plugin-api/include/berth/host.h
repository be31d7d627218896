/* berth/host.h: the services a host offers to a plug-in, by id. Read berth/plugin.h first for the rules of threads,
 * ownership and sizes. Each table begins with its size; ask for it in start():
 *     const struct berth_host_log *log = host->service(host, BERTH_HOST_LOG);
 * Every function takes the berth_host it was got from. Handles (timers, requests, …) are integers > 0; 0 is failure. */
#ifndef BERTH_HOST_H
#define BERTH_HOST_H

#include <berth/plugin.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t berth_handle;

/* A name and a value: headers, labels, environment. Arrays carry their count. These two members for ever. */
struct berth_pair {
  const char *name;
  const char *value;
};

/* ---------------------------------------------------------------- operations */
#define BERTH_HOST_OPS "berth.host.ops/1"
struct berth_host_ops {
  size_t size;
  /* Ends op. code 0: result_json is the method's result (NULL: {}), at most 16 MiB and 250,000 values; else message is a
   * sentence that names the thing and the mend. Exactly once per op. Any thread. */
  void (*finish)(const struct berth_host *host, berth_op op, enum berth_code code, const char *message,
                 const char *result_json);
  /* A piece of a stream or of progress, before finish. channel is the method's own (see its comment). At most 1 MiB a
   * call. Returns the number of bytes that wait on the other side: over 1 MiB, stop reading your source for some
   * milliseconds, and ask again with len 0. Over 1 MiB in one call, or 64 MiB faster than the loop turns, the host ends op
   * with plugin_crashed. After the end of op nothing is delivered. Any thread. */
  size_t (*emit)(const struct berth_host *host, berth_op op, int channel, const void *data, size_t len);
};

/* ---------------------------------------------------------------- log */
#define BERTH_HOST_LOG "berth.host.log/1"
enum berth_log_level { BERTH_LOG_DEBUG, BERTH_LOG_INFO, BERTH_LOG_WARN, BERTH_LOG_ERROR };
struct berth_host_log {
  size_t size;
  void (*log)(const struct berth_host *host, enum berth_log_level level, const char *text); /* any thread; no secrets */
};

/* ---------------------------------------------------------------- time */
#define BERTH_HOST_TIMER "berth.host.timer/1"
struct berth_host_timer {
  size_t size;
  int64_t (*mono_ms)(const struct berth_host *host);  /* monotonic milliseconds. Any thread. */
  int64_t (*wall_ms)(const struct berth_host *host);  /* milliseconds since 1970-01-01 UTC. Any thread. */
  /* Calls back once after ms (0: in the next turn of the loop). 0 while the entry stops. */
  berth_handle (*after)(const struct berth_host *host, int64_t ms, void (*cb)(void *arg), void *arg);
  void (*cancel)(const struct berth_host *host, berth_handle timer); /* a timer that ran, or 0, is fine */
};

/* ---------------------------------------------------------------- descriptors */
#define BERTH_HOST_FD "berth.host.fd/1"
enum { BERTH_FD_READ = 1, BERTH_FD_WRITE = 2 };
struct berth_host_fd {
  size_t size;
  /* Watches fd, level-triggered, until unwatch. The plug-in owns fd and closes it after unwatch. */
  berth_handle (*watch)(const struct berth_host *host, int fd, int events, void (*cb)(void *arg, int fd, int events),
                        void *arg);
  void (*unwatch)(const struct berth_host *host, berth_handle watch);
};

/* ---------------------------------------------------------------- workers */
#define BERTH_HOST_WORKER "berth.host.worker/1"
struct berth_host_worker {
  size_t size;
  /* Runs work(arg) in a thread of the host's pool, then done(arg) on the loop (done may be NULL). No cancel: done always
   * comes, after stop() if need be; arg must live until then. */
  void (*run)(const struct berth_host *host, void (*work)(void *arg), void (*done)(void *arg), void *arg);
};

/* ---------------------------------------------------------------- child processes */
#define BERTH_HOST_CHILD "berth.host.child/1"
struct berth_child_request {
  size_t size;
  const char *const *argv;      /* ends with NULL; argv[0] is a path or found in PATH. No shell. No secrets here. */
  const char *const *env;       /* "NAME=value", ends with NULL; the child gets nothing else. NULL: only PATH */
  const char *cwd;              /* NULL: / */
  const void *input;            /* written to its standard input, then closed */
  size_t input_len;
  int64_t timeout_ms;           /* then SIGTERM, 2 s later SIGKILL; 0: 60,000 */
  size_t max_output;            /* of out and err together; more kills it; 0: 1 MiB */
  /* exit_status: >= 0 exit code; < 0: the negated signal. out and err are borrowed. */
  void (*done)(void *arg, int exit_status, const char *out, size_t out_len, const char *err, size_t err_len);
  void *arg;
};
struct berth_host_child {
  size_t size;
  berth_handle (*spawn)(const struct berth_host *host, const struct berth_child_request *request); /* 0: could not start */
  void (*kill)(const struct berth_host *host, berth_handle child); /* SIGKILL; done still comes */
};

/* ---------------------------------------------------------------- HTTP client */
#define BERTH_HOST_HTTP "berth.host.http/1"
struct berth_http_request {
  size_t size;
  const char *method;              /* "GET" */
  const char *url;                 /* http:// or https://; the host part is ignored (but sent) with unix_socket */
  const char *unix_socket;         /* path; NULL: TCP */
  const struct berth_pair *headers;
  size_t nheaders;
  const void *body;                /* NULL: none. Copied. */
  size_t body_len;
  /* A body of unknown length instead of body: called when more can be sent; returns bytes written into buf, 0 at the end,
   * -1 to wait until http->resume, -2 to abort. NULL: none. */
  ssize_t (*read_body)(void *arg, void *buf, size_t room);
  int64_t timeout_ms;              /* for the whole request; 0: 30,000; -1: none (streams) */
  int64_t connect_timeout_ms;      /* 0: 5,000 */
  size_t max_body;                 /* of the answer when it is collected (no on_data); 0: 4 MiB; over it BERTH_TOO_LARGE */
  const char *tls_ca_file;         /* NULL: the system's */
  const char *tls_cert_file;       /* client certificate, PEM */
  const char *tls_key_file;
  bool tls_insecure;               /* no verification: only where the operator asked for it by name */
  bool follow_redirects;           /* at most 5, never from https to http, no credentials to another host */
  /* Head of the answer: status and headers (names in lower case). May be NULL. */
  void (*on_head)(void *arg, int status, const struct berth_pair *headers, size_t nheaders);
  /* A piece of the body as it comes. NULL: the body is collected for done. Return false to pause until http->resume
   * (the piece counts as taken). */
  bool (*on_data)(void *arg, const void *data, size_t len);
  /* Exactly once, at the end (also after cancel, with BERTH_CANCELLED). code 0: an answer came, whatever its status;
   * else message says what failed. body is collected where on_data is NULL; borrowed. */
  void (*done)(void *arg, enum berth_code code, const char *message, int status, const char *body, size_t body_len);
  void *arg;
};
/* A connection that left HTTP (101 Switching Protocols, or a hijack as the Docker Engine does it): bytes both ways. */
struct berth_http_upgrade {
  size_t size;
  const char *method, *url, *unix_socket;
  const struct berth_pair *headers; /* Connection and Upgrade included by the caller */
  size_t nheaders;
  const void *body;
  size_t body_len;
  const char *tls_ca_file, *tls_cert_file, *tls_key_file;
  /* The head came. ok: status is 101 or 200 and bytes flow now; else body holds the error answer (at most 64 KiB). */
  void (*on_open)(void *arg, bool ok, int status, const char *body, size_t body_len);
  void (*on_data)(void *arg, const void *data, size_t len);
  void (*on_close)(void *arg, enum berth_code code, const char *message); /* exactly once, the last call */
  void *arg;
};
struct berth_host_http {
  size_t size;
  /* Everything in request is copied but the callbacks' arg. 0 (and no done) only while the entry stops, or without method, url
   * or done. No callback comes before it returns. */
  berth_handle (*request)(const struct berth_host *host, const struct berth_http_request *request);
  void (*resume)(const struct berth_host *host, berth_handle request);
  void (*cancel)(const struct berth_host *host, berth_handle request); /* request or upgrade; done/on_close still comes */
  berth_handle (*upgrade)(const struct berth_host *host, const struct berth_http_upgrade *upgrade);
  size_t (*write)(const struct berth_host *host, berth_handle upgrade, const void *data, size_t len); /* bytes that wait */
  void (*close_write)(const struct berth_host *host, berth_handle upgrade); /* half-close: no more input */
};

/* ---------------------------------------------------------------- key-value */
/* Small state of a plug-in entry's own, durable in the server's state store. Keys at most 256 bytes, values at most
 * 64 KiB, 10,000 keys. */
#define BERTH_HOST_KV "berth.host.kv/1"
struct berth_host_kv {
  size_t size;
  /* NULL value deletes. Puts become durable in order. done (may be NULL) when it is on disk, or with a code: INVALID (key or value
   * too long), EXHAUSTED (too many keys, full disk). It may come before put returns. */
  void (*put)(const struct berth_host *host, const char *key, const void *value, size_t len,
              void (*done)(void *arg, enum berth_code code, const char *message), void *arg);
  /* Calls found once per key that begins with prefix, in order of the keys, before it returns; false stops. Puts that are not
   * durable yet may be missing. */
  void (*scan)(const struct berth_host *host, const char *prefix,
               bool (*found)(void *arg, const char *key, const void *value, size_t len), void *arg);
};

/* ---------------------------------------------------------------- secrets */
#define BERTH_HOST_SECRET "berth.host.secret/1"
struct berth_host_secret {
  size_t size;
  /* The secret NAME of the namespace that the server's own configuration uses ("default"), where the entry's config names it.
   * The value is borrowed for the callback and must not be logged. NOT_FOUND; DENIED where the entry's config does not say
   * {"secret": name} anywhere. done may come before get returns. */
  void (*get)(const struct berth_host *host, const char *name,
              void (*done)(void *arg, enum berth_code code, const char *message, const void *value, size_t len), void *arg);
};

/* ---------------------------------------------------------------- metrics */
#define BERTH_HOST_METRICS "berth.host.metrics/1"
enum berth_metric_kind { BERTH_COUNTER, BERTH_GAUGE };
struct berth_metric_sample {
  size_t size;
  const char *name;              /* "berth_instance_cpu_seconds_total" */
  const char *help;
  enum berth_metric_kind kind;
  const struct berth_pair *labels;
  size_t nlabels;
  double value;
};
struct berth_host_metrics {
  size_t size;
  /* Sets one of the plug-in's own: the host adds the label plugin="<name>". At most 10,000 series and 4 MiB a plug-in, 16 labels each; more,
   * and malformed names, are dropped with a line in the log. */
  void (*set)(const struct berth_host *host, const struct berth_metric_sample *sample);
  /* Everything that Berth knows, samples of one family together, instance statistics at most max_age_ms old (the host asks
   * the runtime where they are older), those of plug-ins included. sample is called for each, then done. */
  void (*collect)(const struct berth_host *host, int64_t max_age_ms,
                  void (*sample)(void *arg, const struct berth_metric_sample *sample),
                  void (*done)(void *arg, enum berth_code code, const char *message), void *arg);
};

/* ---------------------------------------------------------------- events */
#define BERTH_HOST_EVENTS "berth.host.events/1"
struct berth_event {
  size_t size;
  uint64_t revision;       /* of the store; never falls; events of one change share it, and come together */
  int64_t time_ms;         /* wall clock */
  const char *type;        /* "app.applied", "rollout.failed", "instance.unhealthy", …: see docs/events.md */
  const char *severity;    /* "info" "warning" "error" */
  const char *namespace_;
  const char *app;         /* "" where it concerns none */
  const char *subject;     /* "instance/shop-web-1-k3f9a" */
  const char *message;     /* a sentence */
  const char *data_json;   /* an object */
};
struct berth_host_events {
  size_t size;
  /* Calls cb for every committed event with revision > after (0: from now on), in order, also across restarts of the server.
   * Where a part of the past is no longer kept, an event of type "gap" comes in its place. cb returns false to pause (that
   * event counts as taken); go on with resume. Never from inside subscribe. */
  berth_handle (*subscribe)(const struct berth_host *host, uint64_t after,
                            bool (*cb)(void *arg, const struct berth_event *event), void *arg);
  void (*resume)(const struct berth_host *host, berth_handle subscription);
  void (*unsubscribe)(const struct berth_host *host, berth_handle subscription);
  /* Adds an event of the plug-in's own; the type gets the prefix "plugin.", the subject is "plugin/<name>". Type up to 64
   * bytes, message up to 4 KiB, data_json (may be NULL) an object up to 16 KiB, 100 a second and 200 at once; else it is dropped with a
   * line in the log. */
  void (*publish)(const struct berth_host *host, const char *type, const char *severity, const char *message,
                  const char *data_json);
};

/* ---------------------------------------------------------------- HTTP routes */
#define BERTH_HOST_ROUTES "berth.host.routes/1"
struct berth_route_request {
  size_t size;
  const char *method;
  const char *path;                 /* decoded, clean */
  const char *query;                /* raw, "" where none */
  const struct berth_pair *headers; /* names in lower case */
  size_t nheaders;
  const void *body;                 /* whole; at most 3 MB */
  size_t body_len;
};
struct berth_route {
  size_t size;
  const char *method;               /* "GET", "POST" */
  const char *path;                 /* exact: "/metrics"; or under a prefix: "/files/" followed by a star. Exact goes before
                                       prefix, the longer prefix before the shorter. Webhooks come to "/hooks/<name>", the name
                                       of the entry (host->name), or below it: of /hooks an entry gets nothing else */
  const char *summary;              /* for the OpenAPI document */
  bool open;                        /* true: no API token is asked for (the plug-in proves the caller itself) */
  /* Answer with routes->reply exactly once, at any time within 30 s; then the host answers 504. */
  void (*handle)(void *arg, berth_op reply, const struct berth_route_request *request);
  void *arg;
};
struct berth_host_routes {
  size_t size;
  /* 0 where the path is taken or reserved (/v1 but for what the documentation lists). */
  berth_handle (*add)(const struct berth_host *host, const struct berth_route *route);
  void (*remove)(const struct berth_host *host, berth_handle route);
  /* status: 200 to 599. The host sets framing, and sends 500 in place of an answer whose headers HTTP does not allow (control characters, a
   * name that is no token). Anything is copied. */
  void (*reply)(const struct berth_host *host, berth_op reply, int status, const struct berth_pair *headers, size_t nheaders,
                const void *body, size_t len);
};

/* ---------------------------------------------------------------- queries */
/* Reads of the server's API, as a user with read rights would see them. */
#define BERTH_HOST_QUERY "berth.host.query/1"
struct berth_host_query {
  size_t size;
  /* path as in the HTTP API, "/v1/namespaces/default/instances?limit=0". json is borrowed. May call back before it
   * returns. */
  void (*get)(const struct berth_host *host, const char *path,
              void (*done)(void *arg, enum berth_code code, const char *message, const char *json), void *arg);
};

#ifdef __cplusplus
}
#endif

#endif
