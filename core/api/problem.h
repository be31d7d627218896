/* Answers in JSON: objects, pages, and errors as problem+json (RFC 9457). */
#ifndef BT_API_PROBLEM_H
#define BT_API_PROBLEM_H

#include <jansson.h>
#include <stdint.h>

#include "api/http_server.h"
#include "base/err.h"

/* {"type","title","status","detail","code"} with the status of the code. Ends the exchange, as all here. */
void bt_problem(struct bt_exchange *x, enum bt_code code, const char *detail);
void bt_problem_err(struct bt_exchange *x, const struct bt_err *err);
/* With more members (stolen), such as "diagnostics". */
void bt_problem_with(struct bt_exchange *x, enum bt_code code, const char *detail, json_t *more);
/* The same under a status that no code has (405, 426, …). */
void bt_problem_status(struct bt_exchange *x, int status, enum bt_code code, const char *detail);
/* The problem as JSON (a stream's or WebSocket's last word); new reference. */
json_t *bt_problem_json(int status, enum bt_code code, const char *detail);

void bt_reply_json(struct bt_exchange *x, int status, json_t *value_steal);
/* JSON text with ETag: "revision"; 304 where If-None-Match has it. */
void bt_reply_object(struct bt_exchange *x, const char *text, uint64_t revision);
/* The same with the ETag "revision-change", for objects that have a revision of their own. */
void bt_reply_tagged(struct bt_exchange *x, const char *text, long long revision, uint64_t change);

#endif
