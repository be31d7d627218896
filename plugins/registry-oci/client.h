/* Requests to registries that log in by themselves: Basic, or Bearer with a token from the realm that the registry names.
 * Tokens are kept until they expire. Knows nothing of manifests. */
#ifndef RO_CLIENT_H
#define RO_CLIENT_H

#include <berth/host.h>

#include "settings.h"

struct ro_client;
struct ro_call;

struct ro_client *ro_client_new(const struct berth_host *host, const struct ro_settings *settings); /* settings: borrowed */
void ro_client_free(struct ro_client **client); /* no call may be open */
void ro_client_forget(struct ro_client *client); /* all tokens: the configuration changed */

/* What came back. code other than BERTH_OK: message says why, for a person. Borrowed. */
struct ro_answer {
  enum berth_code code;
  const char *message;
  int status;             /* 2xx where code is BERTH_OK; 0 where no answer came */
  const char *digest;     /* Docker-Content-Digest; NULL where absent */
  const char *media_type; /* without parameters; "" where absent */
  int64_t length;         /* Content-Length; -1 where absent */
  const char *body;
  size_t len;
};

struct ro_request {
  const char *registry; /* as in references */
  const char *method, *path, *accept; /* accept: NULL for none */
  const char *scope;    /* "repository:library/web:pull"; NULL for none */
  const char *what;     /* for sentences: "library/web:1 of docker.io" */
  void (*done)(void *arg, const struct ro_answer *answer); /* exactly once */
  void *arg;
};
/* Sends; *slot holds the call until just before done, for ro_call_cancel. Copies what it needs. */
void ro_client_send(struct ro_client *client, const struct ro_request *request, struct ro_call **slot);
void ro_call_cancel(struct ro_call *call); /* done comes with BERTH_CANCELLED; NULL is fine */

/* "https://host:port/…": the host part with its port; false where it is no http or https URL. *plain: it is http. The caller frees. */
bool ro_url_host(const char *url, char **host, bool *plain);

#endif
