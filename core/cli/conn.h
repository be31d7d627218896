/* The connection to a server: where it is, who we are, requests that wait and streams that do not. Knows HTTP and the API's errors,
 * nothing of its resources. */
#ifndef BT_CLI_CONN_H
#define BT_CLI_CONN_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "loop/http_client.h"
#include "loop/loop.h"

#define BT_DEFAULT_HOST "unix:///run/berth/berth.sock"

struct bt_conn {
  struct bt_loop *loop;
  struct bt_http *http;
  char *shown;       /* as the person named it */
  char *base;        /* "http://localhost" or "http://127.0.0.1:7171" */
  char *unix_socket; /* NULL: TCP */
  char *bearer;      /* "Bearer …"; NULL: none */
  char *ca_file;     /* NULL: the system's */
};

/* host: unix:///path, http://…, https://…; NULL: BERTH_HOST, else the default. Reads BERTH_TOKEN_FILE, BERTH_CA_FILE.
 * Asks nobody yet. */
int bt_conn_open(const char *host, struct bt_conn **out, struct bt_err **err) BT_CHECK;
void bt_conn_free(struct bt_conn **conn);

/* One request; done comes once, in the loop, with the answer (borrowed) or an error. body may be NULL (borrowed).
 * timeout_ms 0: 30 s. */
void bt_conn_send(struct bt_conn *conn, const char *method, const char *path, const json_t *body, long long timeout_ms,
                  void (*done)(void *arg, const json_t *answer, struct bt_err *err), void *arg);
/* Ends all that is under way: every done and end comes, with BT_CANCELLED, before this returns. */
void bt_conn_cancel(struct bt_conn *conn);
/* One request, awaited; not from a callback of the loop. *out (may be NULL): the answer, a new reference. Errors are the
 * server's problem, with its diagnostics as lines; where nobody answers, how to start the server. */
int bt_conn_call(struct bt_conn *conn, const char *method, const char *path, const json_t *body, long long timeout_ms,
                 json_t **out, struct bt_err **err) BT_CHECK;
/* All pages of a list: a new array of its items. */
int bt_conn_list(struct bt_conn *conn, const char *path, json_t **out, struct bt_err **err) BT_CHECK;

/* An answer that keeps coming. end comes once, in the loop: err is NULL where the server ended it well; it may be read only. */
struct bt_conn_stream {
  const char *method; /* NULL: GET */
  const json_t *body; /* may be NULL; borrowed */
  const char *path, *accept, *last_id; /* accept, last_id may be NULL */
  bool (*data)(void *arg, const void *data, size_t len); /* false: pause until bt_http_resume */
  void (*end)(void *arg, const struct bt_err *err);
  void *arg;
};
struct bt_http_call *bt_conn_stream(struct bt_conn *conn, const struct bt_conn_stream *stream);
/* A WebSocket: on_open, on_data, on_close as in bt_http_upgrade. */
struct bt_http_tunnel *bt_conn_websocket(struct bt_conn *conn, const char *path, const struct bt_http_upgrade *callbacks);

/* The error an answer of this status and body stands for: the server's code and sentence. Returns -1. */
int bt_conn_problem(int status, const char *body, size_t len, struct bt_err **err);
/* As bt_conn_problem for a request that got no answer. */
int bt_conn_unanswered(const struct bt_conn *conn, enum bt_code code, const char *message, struct bt_err **err);

/* "/v1" and the segments, percent-encoded, each after a slash; ends with NULL. The caller frees. */
char *bt_url_path(const char *first, ...) __attribute__((sentinel));
/* Adds such segments to an address. */
void bt_url_segments(struct bt_buf *url, const char *first, va_list ap);
/* Adds "?name=value" or "&name=value", encoded; nothing where value is NULL. */
void bt_url_query(struct bt_buf *url, const char *name, const char *value);
void bt_url_encode(struct bt_buf *out, const char *text);

#endif
