/* HAProxy's runtime and master sockets: one line of commands in, their answers out, a connection each. Asynchronous over
 * berth.host.fd/1; requests wait for each other, in order. Knows nothing of what the commands mean. */
#ifndef LBH_CLI_H
#define LBH_CLI_H

#include <berth/host.h>
#include <stdbool.h>
#include <stddef.h>

struct lbh_cli;

struct lbh_cli *lbh_cli_new(const struct berth_host *host);
void lbh_cli_free(struct lbh_cli **cli); /* nothing is called any more */

/* Sends line (without its end; at most 15 KiB) to the socket. done once, never from inside: reply is all that came until the other side
 * closed; NULL where it could not be reached, did not answer within 5 s or said more than 32 MiB. */
void lbh_cli_ask(struct lbh_cli *cli, const char *socket, const char *line, void (*done)(void *arg, const char *reply, size_t len), void *arg);

/* The i-th answer of several commands that were joined by ";": each ends with an empty line. Borrowed, not NUL-terminated; len 0 where the
 * command said nothing. False: there is no i-th. */
bool lbh_cli_answer(const char *reply, size_t i, const char **at, size_t *len);

#endif
