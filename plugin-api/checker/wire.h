/* A plug-in that is no shared object: a program that speaks the wire (plugin-api/docs/wire.md), or a script in Lua. Its process stands
 * behind a struct berth_plugin, so that what tests a .so tests it too: calls and services go through the very code with which the
 * server talks to such a process (plugin/remote.h), only that the host behind it is the strict one of host.h.
 *
 * Besides it notices what a server would end the process for, or bear: what is no message, of no known type, without its members, an id
 * twice, a ping without an answer, an end that was not asked for. After what is the end of the process the test is over. */
#ifndef CHECK_WIRE_H
#define CHECK_WIRE_H

#include <berth/plugin.h>
#include <jansson.h>
#include <stdbool.h>

#include "plugin/manifest.h"

struct bt_loop;
struct check_host;

/* Is it one? The plan (bench.h) says how it is run. */
bool check_wire(void);
/* The first message of a new process, which is ended then: new reference; NULL (and failed). */
json_t *check_wire_hello(void);
/* The plug-in, after check_plan.hello was set; its manifest is not looked at. NULL (and failed) where there was no hello. */
const struct berth_plugin *check_wire_plugin(void);
/* Its manifest, with functions in the tables that send the calls. NULL with a sentence. */
struct bt_manifest *check_wire_manifest(struct bt_err **err);

/* Waits until the process has dealt with all that it was sent before: it answers a ping. */
void check_wire_settle(struct check_host *host);
/* Sends a message to the process of a running entry: in one piece, or in many. head is stolen. */
void check_wire_send(struct check_host *host, json_t *head_steal, const void *bytes, size_t len, bool in_pieces);
/* Closes the process' input, and waits for its end; false where it lives on after ms. */
bool check_wire_hang_up(struct check_host *host, int ms);

/* What the process of a running entry holds. */
struct check_usage {
  int descriptors, threads, children;
  long long bytes; /* of memory that is its own */
};
struct check_usage check_wire_usage(const struct check_host *host);

#endif
